// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/grappler.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "engine/base/status.h"
#include "engine/graph/attributes.h"
#include "engine/graph/functions.h"
#include "engine/graph/graph.h"
#include "engine/graph/rewriter.h"
#include "engine/kernels/gemm_strip.h"
#include "engine/ops/attributes.h"
#include "engine/ops/bottleneck.h"
#include "engine/ops/dense.h"
#include "engine/ops/grouped.h"
#include "engine/ops/winograd.h"
#include "engine/optimize/epsilon.h"
#include "engine/optimize/factors.h"
#include "engine/optimize/tidy.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/grappler/clusters/virtual_cluster.h"
#include "tensorflow/core/grappler/grappler_item.h"
#include "tensorflow/core/grappler/optimizers/meta_optimizer.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Nodes in `kept` are not fused with others.
void Run(const tf::ConfigProto& config, const tf::DeviceSet& devices, IsolatedGraph* isolated,
         const std::vector<std::string>& kept = {}) {
  tf::grappler::GrapplerItem item;
  item.id = "savedmodel";
  item.keep_ops = kept;
  for (const std::string& fetch : isolated->fetches) item.fetch.push_back(fetch);
  for (const std::string& feed : isolated->feeds) {
    const TensorRef name = TensorRef::Parse(feed);
    for (const tf::NodeDef& node : isolated->graph.node()) {
      if (node.name() != name.node) continue;
      // Only type and shape are used, not the value.
      tf::PartialTensorShape shape(Attr(node, "shape").shape());
      tf::TensorShape concrete;
      for (int i = 0; i < shape.dims(); ++i) concrete.AddDim(shape.dim_size(i) < 0 ? 1 : shape.dim_size(i));
      item.feed.emplace_back(feed, tf::Tensor(Attr(node, "dtype").type(), concrete));
    }
  }
  item.graph.Swap(&isolated->graph);
  tf::grappler::VirtualCluster cluster(&devices);
  tf::GraphDef optimized;
  ThrowIfError(
      tf::grappler::RunMetaOptimizer(std::move(item), config, devices.client_device(), &cluster, &optimized),
      "graph optimizer");
  isolated->graph.Swap(&optimized);
}

tf::ConfigProto Config(std::initializer_list<const char*> optimizers) {
  tf::ConfigProto config;
  auto* rewrite = config.mutable_graph_options()->mutable_rewrite_options();
  rewrite->set_meta_optimizer_iterations(tf::RewriterConfig::ONE);
  rewrite->set_min_graph_nodes(-1);
  rewrite->set_meta_optimizer_timeout_ms(-1);
  rewrite->set_disable_tfg_optimizer(true);  // it converts to MLIR and back, which some types do not support
  for (const char* optimizer : optimizers) rewrite->add_optimizers(optimizer);
  return config;
}

// The negative of a scalar larger than 1, of a type that TensorFlow turns into a LeakyRelu.
std::optional<tf::Tensor> NegativeSlope(const tf::Tensor& slope) {
  if (slope.NumElements() != 1) return {};
  tf::Tensor negative(slope.dtype(), slope.shape());
  if (slope.dtype() == tf::DT_FLOAT && slope.flat<float>()(0) > 1) {
    negative.flat<float>()(0) = -slope.flat<float>()(0);
  } else if (slope.dtype() == tf::DT_BFLOAT16 && static_cast<float>(slope.flat<tf::bfloat16>()(0)) > 1) {
    negative.flat<tf::bfloat16>()(0) = -slope.flat<tf::bfloat16>()(0);
  } else {
    return {};
  }
  return negative;
}

// TensorFlow turns max(x, a * x) into a LeakyRelu, which is the smaller of the two if `a` is larger than 1.
// It does not recognise max(x, -(-a * x)), which is equal.
void HideLargeSlopes(tf::GraphDef* graph) {
  Rewriter rewriter(graph);
  for (tf::NodeDef* node : rewriter.nodes()) {
    if (node->op() != "Maximum") continue;
    for (const int i : {0, 1, 2, 3}) {
      tf::NodeDef* product = rewriter.Input(*node, i / 2, "Mul");
      if (product == nullptr || product->input(i % 2) != node->input(1 - i / 2)) continue;
      const tf::Tensor* slope = rewriter.Constant(*product, 1 - i % 2);
      const auto negative = slope == nullptr ? std::nullopt : NegativeSlope(*slope);
      if (!negative) continue;
      tf::NodeDef* constant = rewriter.AddConstant(product->name() + "/negative", *negative);
      tf::NodeDef* again =
          rewriter.Add(product->name() + "/of_negative", "Mul", {product->input(i % 2), constant->name()});
      tf::NodeDef* back = rewriter.Add(product->name() + "/back", "Neg", {again->name()});
      for (tf::NodeDef* added : {constant, again, back}) added->set_device(node->device());
      for (tf::NodeDef* added : {again, back}) CopyAttrs(*product, {"T"}, added);
      rewriter.SetInput(node, i / 2, back->name());
      break;
    }
  }
  rewriter.Finish();
}

// Convolutions with groups, or with an unknown number of channels. Without oneDNN, TensorFlow has no kernel
// for groups with a bias, but fuses such a node all the same.
std::vector<std::string> GroupedConvolutions(const tf::GraphDef& graph) {
  std::vector<std::string> found;
  if (tf::IsMKLEnabled()) return found;
  tf::GraphDef copy = graph;
  Rewriter rewriter(&copy);
  for (const tf::NodeDef* node : rewriter.nodes()) {
    if (node->op() != "Conv2D") continue;
    const tf::PartialTensorShape image = rewriter.Shape(node->input(0)),
                                 weights = rewriter.Shape(node->input(1));
    const bool known = image.dims() == 4 && weights.dims() == 4 && weights.dim_size(2) > 0;
    if (!known || image.dim_size(IsChannelsLast(*node) ? 3 : 1) != weights.dim_size(2))
      found.push_back(node->name());
  }
  return found;
}

}  // namespace

void InlineFunctions(const tf::DeviceSet& devices, IsolatedGraph* isolated) {
  ForEachNode(&isolated->graph, [](tf::NodeDef* node) {
    if (node->op().find("PartitionedCall") == std::string::npos)
      node->mutable_attr()->erase("_lower_using_switch_merge");
  });
  Run(Config({"function", "pruning"}), devices, isolated);
}

void PruneGraph(const tf::DeviceSet& devices, IsolatedGraph* isolated) {
  Run(Config({"pruning", "dependency", "pruning"}), devices, isolated);
}

void LeaveOutForOneCpu(tf::ConfigProto* config) {
  auto* rewrite = config->mutable_graph_options()->mutable_rewrite_options();
  rewrite->set_disable_tfg_optimizer(true);  // it converts to MLIR and back, which some types do not support
  if (rewrite->memory_optimization() == tf::RewriterConfig::DEFAULT_MEM_OPT) {
    rewrite->set_memory_optimization(tf::RewriterConfig::NO_MEM_OPT);
  }
  if (rewrite->implementation_selector() == tf::RewriterConfig::DEFAULT) {
    rewrite->set_implementation_selector(tf::RewriterConfig::OFF);
  }
  if (rewrite->layout_optimizer() == tf::RewriterConfig::DEFAULT &&
      rewrite->cpu_layout_conversion() == tf::RewriterConfig::NO_CONVERSION_ON_CPU) {
    rewrite->set_layout_optimizer(tf::RewriterConfig::OFF);
  }
}

void FoldConstants(const tf::DeviceSet& devices, IsolatedGraph* isolated) {
  Run(Config({"constfold", "dependency", "constfold", "pruning"}), devices, isolated);
  Tidy(isolated);
}

bool HasBfloat16() { return Bfloat16GemmKernel() != nullptr; }

int UseBfloat16(const tf::DeviceSet& devices, IsolatedGraph* isolated) {
  // These ops round their factors and keep the rest in float32. TensorFlow handles the others.
  static constexpr const char* kOurs[] = {kBottleneckOp, kDenseOp, kGroupedOp, kWinogradOp};
  int count = 0;
  for (tf::NodeDef& node : *isolated->graph.mutable_node()) {
    if (std::find(std::begin(kOurs), std::end(kOurs), node.op()) == std::end(kOurs)) continue;
    auto& attributes = *node.mutable_attr();
    attributes[kPrecision].set_s(kBf16);
    const bool is_pair = attributes.count("num_expand") > 0 && attributes["num_expand"].i() > 0 &&
                         attributes["num_project"].i() > 0;
    count += is_pair ? 2 : 1;
  }
  tf::ConfigProto config = Config({"auto_mixed_precision_onednn_bfloat16"});
  config.mutable_graph_options()->mutable_rewrite_options()->set_auto_mixed_precision_onednn_bfloat16(
      tf::RewriterConfig::ON);
  Run(config, devices, isolated);
  return count;
}

std::string OptimizeAsSession(const tf::SessionOptions& options, const tf::DeviceSet& devices, bool fold,
                              IsolatedGraph* isolated) {
  // TensorFlow does not fuse nodes without a device, because it can't know that they run on the CPU.
  ForEachNode(&isolated->graph, [&](tf::NodeDef* node) {
    if (node->device().empty()) node->set_device(devices.client_device()->name());
  });
  tf::ConfigProto config = options.config;
  if (!fold) LeaveOutFolding(&config);
  const std::string note = LeaveOutRemapping(isolated->graph, &config);
  auto* rewrite = config.mutable_graph_options()->mutable_rewrite_options();
  if (rewrite->disable_meta_optimizer()) return "";
  rewrite->set_min_graph_nodes(-1);
  rewrite->set_meta_optimizer_timeout_ms(-1);
  LeaveOutForOneCpu(&config);
  // Loops are functions here, and a second iteration finds nothing new.
  if (rewrite->loop_optimization() == tf::RewriterConfig::DEFAULT) {
    rewrite->set_loop_optimization(tf::RewriterConfig::OFF);
  }
  if (rewrite->meta_optimizer_iterations() == tf::RewriterConfig::DEFAULT_NUM_ITERS) {
    rewrite->set_meta_optimizer_iterations(tf::RewriterConfig::ONE);
  }
  HideLargeSlopes(&isolated->graph);
  Run(config, devices, isolated, GroupedConvolutions(isolated->graph));
  return note;
}

}  // namespace savedmodel::engine
