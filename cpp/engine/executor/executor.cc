// SPDX-License-Identifier: Apache-2.0
#include "engine/executor/executor.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "engine/executor/control_flow.h"
#include "engine/executor/sequential.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/resource_handle.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Stateful ops whose state lies in the device's resource manager, under a name, or that have none. A second
// kernel of another stateful op would begin with a state of its own (a random generator, an anonymous table).
bool SharesState(const tf::Node& node) {
  static const auto* const harmless = new std::set<std::string>{
      "_Arg", "_Retval", "Assert", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"};
  static const auto* const tables =
      new std::set<std::string>{"HashTableV2", "MutableHashTableV2", "MutableDenseHashTableV2"};
  const std::string& op = node.type_string();
  if (harmless->count(op) > 0 || op.rfind("LookupTable", 0) == 0) return true;
  std::string name;
  tf::TryGetNodeAttr(node.attrs(), "shared_name", &name);
  if (op == "VarHandleOp") return name != tf::ResourceHandle::ANONYMOUS_NAME;
  bool named_by_node = false;
  tf::TryGetNodeAttr(node.attrs(), "use_node_name_sharing", &named_by_node);
  return tables->count(op) > 0 && (!name.empty() || named_by_node);
}

bool NeedsNoSession(const tf::Node& node) {
  const bool references =
      std::any_of(node.output_types().begin(), node.output_types().end(), tf::IsRefType) ||
      std::any_of(node.input_types().begin(), node.input_types().end(), tf::IsRefType);
  return !references && (!node.op_def().is_stateful() || SharesState(node)) && !node.IsSend() &&
         !node.IsRecv() && !node.IsCollective();
}

// Stateful ops that change nothing: they read, or name what is there for the whole model.
bool OnlyReads(const tf::Node& node) {
  static const auto* const readers = new std::set<std::string>{"_Arg",
                                                               "_Retval",
                                                               "Assert",
                                                               "HashTableV2",
                                                               "LookupTableExportV2",
                                                               "LookupTableFindV2",
                                                               "LookupTableSizeV2",
                                                               "MutableDenseHashTableV2",
                                                               "MutableHashTableV2",
                                                               "ReadVariableOp",
                                                               "ResourceGather",
                                                               "ResourceGatherNd",
                                                               "VarHandleOp",
                                                               "VarIsInitializedOp",
                                                               "VariableShape"};
  return !node.op_def().is_stateful() || readers->count(node.type_string()) > 0;
}

}  // namespace

std::unique_ptr<GraphExecutor> MakeExecutor(ExecutableGraph graph, tf::Device* device,
                                            const ConstantPool* pool, std::string* why_not) {
  bool control_flow = false, repeatable = true;
  for (const tf::Node* node : graph.graph->op_nodes()) {
    control_flow |= node->IsControlFlow();
    repeatable &= OnlyReads(*node);
    if (NeedsNoSession(*node)) continue;
    *why_not = "op '" + node->type_string() + "' (node '" + node->name() + "')";
    return nullptr;
  }
  std::unique_ptr<GraphExecutor> executor;
  if (control_flow) {
    executor = std::make_unique<ControlFlowExecutor>(std::move(graph), device, pool);
  } else {
    executor = SequentialExecutor::Make(std::move(graph), device, pool, why_not);
  }
  if (executor != nullptr) executor->set_repeatable(repeatable);
  return executor;
}

std::int64_t NextStepId() {
  static std::atomic<std::int64_t> last{0};
  return ++last;
}

}  // namespace savedmodel::engine
