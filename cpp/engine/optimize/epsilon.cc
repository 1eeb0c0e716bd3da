// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/epsilon.h"

#include <algorithm>

#include "engine/optimize/match/pattern.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// The inverse root of a variance over one axis, counted from the first, plus an epsilon other than 0.001.
template <typename Nodes>
std::string Find(const Dataflow& flow, const Nodes& nodes) {
  const auto axes = Constant().where([](const tf::NodeDef& node) {
    const auto numbers = Integers(Value{&node, 0});
    return numbers && numbers->size() == 1 && numbers->front() >= 0;
  });
  const auto epsilon = Constant().where([](const tf::NodeDef& node) {
    return RepeatedNumber({&node, 0}) != 0.001F;
  });
  const auto root = Op({"Rsqrt"}, {Sum(epsilon, Op({"Mean"}, {Any(), axes}).loose()).loose()}).loose();
  // Without a constant scale, the remapper matches only (x - mean) * rsqrt.
  const auto normal = Mul(root, Either({Constant(), Op({"Sub"}).loose()})).loose();
  Match match(flow);
  for (const tf::NodeDef& node : nodes) {
    if (match.Find(normal, node)) return match.Node(root).name();
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
