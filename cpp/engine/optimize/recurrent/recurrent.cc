// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/recurrent/recurrent.h"

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/functions.h"
#include "engine/graph/graph_view.h"
#include "engine/ops/rnn.h"
#include "engine/optimize/recurrent/fusion.h"
#include "tensorflow/core/framework/function.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

void KeepLoops(tf::GraphDef* graph) {
  ForEachNode(graph, [](tf::NodeDef* node) { node->mutable_attr()->erase("_lower_using_switch_merge"); });
  for (tf::FunctionDef& function : *graph->mutable_library()->mutable_function())
    function.mutable_attr()->erase("api_implements");
}

std::vector<RecurrentRewrite> FuseRecurrent(tf::GraphDef* graph,
                                            const std::unordered_set<std::string>& keep) {
  const FunctionIndex functions(graph->library());
  std::vector<RecurrentRewrite> report;
  const int count = graph->node_size();
  for (int i = 0; i < count; ++i) {
    tf::NodeDef* node = graph->mutable_node(i);
    if (!IsLoop(*node)) continue;
    const tf::FunctionDef* cond = functions.Find(Attr(*node, "cond").func().name());
    const tf::FunctionDef* body = functions.Find(Attr(*node, "body").func().name());
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
