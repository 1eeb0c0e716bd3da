// SPDX-License-Identifier: Apache-2.0
// A batch norm of constants that no weights could take in:
//
//   FusedBatchNorm(x, c, c, c, c), V2, V3    AddV2(Mul(x, scale), shift)
#include <string>
#include <vector>

#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/linear.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int SplitBatchNorm(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    std::vector<double> scale, shift;
    if (!IsConstantBatchNorm(*node, graph, &scale, &shift)) continue;
    const tf::Tensor factor = FloatVector(scale), addend = FloatVector(shift);
    if (!AllFinite(factor) || !AllFinite(addend)) continue;
    tf::NodeDef* scaled =
        graph->Add(node->name() + "/scaled", "Mul",
                   {node->input(0), graph->AddConstant(node->name() + "/scale", factor)->name()});
    (*scaled->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    scaled->set_device(node->device());
    const tf::NodeDef* constant = graph->AddConstant(node->name() + "/shift", addend);
    graph->Become(node, "AddV2", {scaled->name(), constant->name()});
    (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    ++count;
  }
  return count;
}

}  // namespace savedmodel::engine
