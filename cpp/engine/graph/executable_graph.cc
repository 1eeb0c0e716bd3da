// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/executable_graph.h"

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/base/status.h"
#include "engine/graph/calls.h"
#include "engine/graph/constants.h"
#include "engine/graph/functions.h"
#include "engine/graph/graph.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/common_runtime/build_graph_options.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/common_runtime/device_set.h"
#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/common_runtime/graph_execution_state.h"
#include "tensorflow/core/common_runtime/graph_optimizer.h"
#include "tensorflow/core/common_runtime/optimization_registry.h"
#include "tensorflow/core/common_runtime/rendezvous_mgr.h"
#include "tensorflow/core/framework/function.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Marks calls for the pass that inlines functions. Grappler does it for larger graphs only.
void InlineCalls(tf::GraphDef* graph) {
  ForEachNode(graph, [](tf::NodeDef* node) {
    if (IsCall(*node)) (*node->mutable_attr())["_lower_using_switch_merge"].set_b(true);
  });
}

// For functions that stay calls, as those that TensorFlow has specialized: what they wait for is in this
// process.
absl::Status MakeRendezvous(std::int64_t, const tf::DeviceMgr* devices,
                            tsl::core::RefCountPtr<tf::Rendezvous>* rendezvous) {
  rendezvous->reset(new tf::RefCountedIntraProcessRendezvous(devices));
  return absl::OkStatus();
}

// oneDNN's pass takes the sizes of these nodes' inputs for those of images, and aborts if they are none.
void ForgetOtherShapes(tf::Graph* graph) {
  for (tf::Node* node : graph->op_nodes()) {
    const tf::AttrValue* shapes = node->attrs().Find("_input_shapes");
    if (shapes == nullptr || (node->type_string().rfind("FusedBatchNorm", 0) != 0 &&
                              node->type_string().find("Conv2D") == std::string::npos))
      continue;
    if (shapes->list().shape_size() == 0 || shapes->list().shape(0).dim_size() != 4)
      node->ClearAttr("_input_shapes");
  }
}

}  // namespace

tf::GraphDef Prune(const tf::GraphDef& graph, const std::vector<std::string>& feeds,
                   const std::vector<std::string>& fetches) {
  const GraphView view(graph);
  const std::unordered_set<std::string> fed(feeds.begin(), feeds.end());
  std::vector<std::string> start(fetches);
  start.insert(start.end(), feeds.begin(), feeds.end());
  std::unordered_set<const tf::NodeDef*> needed;
  view.Walk(
      start, [&](const tf::NodeDef& node) { needed.insert(&node); },
      [&](const tf::NodeDef&, const std::string& input) {
        return IsControl(input) || fed.count(TensorRef::Parse(input).ToString()) == 0;
      });
  tf::GraphDef pruned;
  *pruned.mutable_versions() = graph.versions();
  for (const tf::NodeDef& node : graph.node()) {
    if (needed.count(&node) > 0) *pruned.add_node() = node;
  }
  CopyNeededFunctions(graph.library(), &pruned);
  return pruned;
}

ExecutableGraph MakeExecutable(const tf::GraphDef& graph, const std::vector<std::string>& feeds,
                               const std::vector<std::string>& fetches, const tf::SessionOptions& options,
                               const tf::DeviceMgr& devices, bool bare) {
  tf::Device* device = devices.ListDevices().front();
  tf::DeviceSet device_set;
  device_set.AddDevice(device);
  device_set.set_client_device(device);

  tf::GraphExecutionStateOptions state_options;
  state_options.device_set = &device_set;
  state_options.session_options = &options;
  tf::BuildGraphOptions build;
  for (const std::string& feed : feeds) build.callable_options.add_feed(feed);
  for (const std::string& fetch : fetches) build.callable_options.add_fetch(fetch);
  build.use_function_convention = true;
  std::unique_ptr<tf::GraphExecutionState> state;
  std::unique_ptr<tf::ClientGraph> client;
  tf::GraphDef pruned = Prune(graph, feeds, fetches);
  InlineCalls(&pruned);
  ClearDevicesInFunctions(&pruned);
  ConstantPool::AsConst(&pruned);
  ThrowIfError(tf::GraphExecutionState::MakeForBaseGraph(std::move(pruned), state_options, &state));
  ThrowIfError(state->BuildGraph(build, &client));

  ExecutableGraph result;
  result.options = &options;
  result.devices = &devices;
  std::unordered_map<std::string, std::unique_ptr<tf::Graph>> partitions;
  auto& partition = partitions[device->name()];
  partition = std::make_unique<tf::Graph>(client->flib_def.get());
  tf::CopyGraph(client->graph, partition.get());
  ForgetOtherShapes(partition.get());
  tf::GraphOptimizationPassOptions passes;
  passes.session_options = &options;
  passes.flib_def = client->flib_def.get();
  passes.partition_graphs = &partitions;
  if (!bare) {
    ThrowIfError(tf::OptimizationPassRegistry::Global()->RunGrouping(
        tf::OptimizationPassRegistry::POST_PARTITIONING, passes));
  }
  result.graph = std::move(partition);
  result.functions = std::move(client->flib_def);

  const tf::OptimizerOptions& optimizer = options.config.graph_options().optimizer_options();
  result.runtimes = std::make_unique<tf::ProcessFunctionLibraryRuntime>(
      &devices, options.env, &options.config, result.graph->versions().producer(), result.functions.get(),
      optimizer, /*thread_pool=*/nullptr, /*parent=*/nullptr, /*session_metadata=*/nullptr,
      tf::Rendezvous::Factory(MakeRendezvous));
  result.runtime = result.runtimes->GetFLR(device->name());
  tf::GraphOptimizer(optimizer).Optimize(result.runtime, options.env, device, &result.graph,
                                         tf::GraphOptimizer::Options());
  return result;
}

}  // namespace savedmodel::engine
