// SPDX-License-Identifier: Apache-2.0
// | pattern (float32)                              | becomes                    |
// |------------------------------------------------|----------------------------|
// | [Mul by a positive constant scalar ->] Softmax | _SavedmodelSoftmax {scale} |
#include "engine/ops/softmax.h"

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int ReplaceSoftmax(Rewriter* graph) {
  if (!HasAny(*graph, {"Softmax"})) return 0;
  const auto x = Any(), scaled = Scaled(x).once(), softmax = Op({"Softmax"}, {scaled}).loose();
  Match match(graph);
  return CountReplaced(graph, {"Softmax"}, [&](tf::NodeDef* node) {
    if (graph->Type(*node) != tf::DT_FLOAT) return false;
    const bool scales = match.Find(softmax, *node) && match.Number(scaled) > 0;
    graph->Become(node, scales ? SoftmaxNode(match.Name(x), static_cast<float>(match.Number(scaled)))
                               : SoftmaxNode(node->input(0), 1.0F));
    return true;
  });
}

}  // namespace savedmodel::engine
