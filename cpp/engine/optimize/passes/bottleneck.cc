// SPDX-License-Identifier: Apache-2.0
// A depthwise convolution with the 1x1 convolutions around it, so that what is between them, the largest
// arrays of MobileNets and EfficientNets, never leaves the caches:
//
// | pattern                                                       | becomes               |
// |---------------------------------------------------------------|-----------------------|
// | [_SavedmodelDense ->] _SavedmodelDepthwise                    | _SavedmodelBottleneck |
// |   [-> _SavedmodelDense, its addend if it has one]            |                       |
//
// with one 1x1 convolution at least, which has no stride, and nobody else who reads what is between.
#include "engine/ops/bottleneck.h"

#include <string>
#include <vector>

#include "engine/ops/dense.h"
#include "engine/ops/depthwise.h"
#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsPointwise(const Rewriter& graph, const tf::NodeDef* node) {
  if (node == nullptr || node->op() != kDenseOp || Attr(*node, "transpose_b").b()) return false;
  return AreOnes(*node, "strides") && ConstantNode(graph, *node, 1) != nullptr;
}

bool Fuse(Rewriter* graph, tf::NodeDef* depthwise) {
  if (HasControlInputs(*depthwise)) return false;
  tf::NodeDef* expand = graph->Input(*depthwise, 0, kDenseOp);
  if (!IsPointwise(*graph, expand) || HasControlInputs(*expand) || CountDataInputs(*expand) != 3 ||
      graph->OnlyReader(*expand) != depthwise)
    expand = nullptr;
  tf::NodeDef* project = graph->OnlyReader(*depthwise);
  if (!IsPointwise(*graph, project) || graph->Input(*project, 0) != depthwise) project = nullptr;
  if (expand == nullptr && project == nullptr) return false;
  graph->Become(project == nullptr ? depthwise : project, BottleneckNode(expand, *depthwise, project));
  if (project != nullptr) graph->Remove(depthwise);
  if (expand != nullptr) graph->Remove(expand);
  return true;
}

}  // namespace

int FuseBottlenecks(Rewriter* graph) {
  return CountReplaced(graph, {kDepthwiseOp}, [graph](tf::NodeDef* node) { return Fuse(graph, node); });
}

}  // namespace savedmodel::engine
