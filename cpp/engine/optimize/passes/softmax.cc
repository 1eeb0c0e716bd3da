// SPDX-License-Identifier: Apache-2.0
// | pattern (float32)                              | becomes                    |
// |------------------------------------------------|----------------------------|
// | [Mul by a positive constant scalar ->] Softmax | _SavedmodelSoftmax {scale} |
#include "engine/optimize/passes/softmax.h"

#include "engine/ops/softmax.h"
#include "engine/optimize/passes/match.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int ReplaceSoftmax(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (node->op() != "Softmax" || graph->Type(*node) != tf::DT_FLOAT) continue;
    const Product product = Factors(graph, node->input(0));
    const bool scaled = !product.nodes.empty() && product.tensors.size() == 1 && product.scale > 0 &&
                        graph->OnlyReader(*product.nodes.front()) == node;
    graph->Become(node, scaled ? SoftmaxNode(product.tensors[0], static_cast<float>(product.scale))
                               : SoftmaxNode(node->input(0), 1.0F));
    ++count;
  }
  return count;
}

}  // namespace savedmodel::engine
