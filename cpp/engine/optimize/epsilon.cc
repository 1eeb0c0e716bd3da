// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/epsilon.h"

#include <algorithm>

#include "engine/graph/dataflow.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// A variance over one axis, counted from the first, plus an epsilon other than 0.001.
bool IsHazard(const Dataflow& flow, const Value& sum) {
  if (!sum.Is("AddV2") && !sum.Is("Add")) return false;
  for (const int i : {0, 1}) {
    const Value variance = flow.Input(sum, i), epsilon = flow.Input(sum, 1 - i);
    if (!variance.Is("Mean") || !epsilon.Is("Const") || IsConstant(epsilon, 0.001F)) continue;
    const auto axes = Integers(flow.Input(variance, 1));
    if (axes && axes->size() == 1 && axes->front() >= 0) return true;
  }
  return false;
}

template <typename Nodes>
std::string Find(const Dataflow& flow, const Nodes& nodes) {
  for (const tf::NodeDef& node : nodes) {
    if (node.op() != "Mul") continue;
    for (const int i : {0, 1}) {
      const Value root = flow.Input({&node, 0}, i), other = flow.Input({&node, 0}, 1 - i);
      // Without a constant scale, the remapper matches only (x - mean) * rsqrt.
      if (!root.Is("Rsqrt") || (!other.Is("Const") && !other.Is("Sub"))) continue;
      if (IsHazard(flow, flow.Input(root, 0))) return root.node->name();
    }
  }
  return "";
}

}  // namespace

std::string LeaveOutRemapping(const tf::GraphDef& graph, tf::ConfigProto* config) {
  std::string node = Find(Dataflow(graph), graph.node());
  for (const tf::FunctionDef& function : graph.library().function()) {
    if (node.empty()) node = Find(Dataflow(function), function.node_def());
  }
  if (node.empty()) return "";
  auto* rewrite = config->mutable_graph_options()->mutable_rewrite_options();
  rewrite->set_remapping(tf::RewriterConfig::OFF);
  auto* optimizers = rewrite->mutable_optimizers();
  optimizers->erase(std::remove(optimizers->begin(), optimizers->end(), "remap"), optimizers->end());
  return "TensorFlow's remapper is left out: it would take the epsilon of the layer norm at node '" + node +
         "' for 0.001";
}

}  // namespace savedmodel::engine
