// SPDX-License-Identifier: Apache-2.0
// A batch norm of constants that no weights could take in:
//
//   FusedBatchNorm(x, c, c, c, c), V2, V3    AddV2(Mul(x, scale), shift)
#include <string>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int SplitBatchNorm(Rewriter* graph) {
  const auto split = [graph](tf::NodeDef* node) {
    std::vector<double> scale, shift;
    if (!IsConstantBatchNorm(*node, graph, &scale, &shift)) return false;
    const tf::Tensor factor = FloatVector(scale), addend = FloatVector(shift);
    if (!AllFinite(factor) || !AllFinite(addend)) return false;
    tf::NodeDef* scaled =
        graph->Add(node->name() + "/scaled", "Mul",
                   {node->input(0), graph->AddConstant(node->name() + "/scale", factor)->name()});
    (*scaled->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    scaled->set_device(node->device());
    const tf::NodeDef* constant = graph->AddConstant(node->name() + "/shift", addend);
    graph->Become(node, "AddV2", {scaled->name(), constant->name()});
    (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    return true;
  };
  return CountReplaced(graph, {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}, split);
}

}  // namespace savedmodel::engine
