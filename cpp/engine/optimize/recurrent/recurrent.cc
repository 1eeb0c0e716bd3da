// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/recurrent/recurrent.h"

#include <unordered_map>

#include "engine/ops/rnn.h"
#include "engine/optimize/recurrent/fusion.h"
#include "tensorflow/core/framework/function.pb.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

bool IsLoop(const tf::NodeDef& node) { return node.op() == "While" || node.op() == "StatelessWhile"; }

}  // namespace

void KeepLoops(tf::GraphDef* graph) {
  for (tf::NodeDef& node : *graph->mutable_node()) node.mutable_attr()->erase("_lower_using_switch_merge");
  for (tf::FunctionDef& function : *graph->mutable_library()->mutable_function()) {
    function.mutable_attr()->erase("api_implements");
    for (tf::NodeDef& node : *function.mutable_node_def())
      node.mutable_attr()->erase("_lower_using_switch_merge");
  }
}

std::vector<RecurrentRewrite> FuseRecurrent(tf::GraphDef* graph,
                                            const std::unordered_set<std::string>& keep) {
  std::unordered_map<std::string, const tf::FunctionDef*> functions;
  for (const tf::FunctionDef& function : graph->library().function()) {
    functions.emplace(function.signature().name(), &function);
  }
  const auto called = [&](const tf::NodeDef& node, const char* attr) -> const tf::FunctionDef* {
    const auto name = node.attr().find(attr);
    if (name == node.attr().end()) return nullptr;
    const auto function = functions.find(name->second.func().name());
    return function == functions.end() ? nullptr : function->second;
  };
  std::vector<RecurrentRewrite> report;
  const int count = graph->node_size();
  for (int i = 0; i < count; ++i) {
    tf::NodeDef* node = graph->mutable_node(i);
    if (!IsLoop(*node)) continue;
    const tf::FunctionDef *cond = called(*node, "cond"), *body = called(*node, "body");
    if (cond == nullptr || body == nullptr || !LooksRecurrent(*body)) continue;
    RecurrentRewrite rewrite{node->name(), "", ""};
    try {
      rewrite.kind = Fusion(graph, keep, node, *cond, *body).Apply();
      rnn::RegisterOps();
    } catch (const Mismatch& mismatch) {
      rewrite.why_not = mismatch.why;
    }
    report.push_back(rewrite);
  }
  return report;
}

}  // namespace savedmodel::engine
