// SPDX-License-Identifier: Apache-2.0
// Global average pooling, and the products of images with one factor for each channel, which Eigen computes
// as a broadcast of any shape:
//
// | pattern (float32, x of [n, h, w, c])                    | becomes                   |
// |---------------------------------------------------------|---------------------------|
// | Mean(x, {1, 2}), the axes in any order or from the end  | _SavedmodelSpatialMean(x) |
// | Mul(x, f), f of [n or 1, 1, 1, c], on either side, but  | _SavedmodelScaleChannels  |
// | no constant of [1, 1, 1, c]                             |                           |
#include <set>

#include "engine/ops/scale_channels.h"
#include "engine/ops/spatial_mean.h"
#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsImage(const tf::PartialTensorShape& shape) { return shape.dims() == 4 && shape.dim_size(3) > 0; }

bool ReplaceMean(Rewriter* graph, tf::NodeDef* mean) {
  const auto axes = Integers(graph->Constant(*mean, 1));
  if (!axes || !IsImage(graph->Shape(mean->input(0)))) return false;
  std::set<std::int64_t> reduced;
  for (const std::int64_t axis : *axes) reduced.insert(axis < 0 ? axis + 4 : axis);
  if (reduced != std::set<std::int64_t>{1, 2}) return false;
  graph->Become(mean, SpatialMeanNode(mean->input(0), Attr(*mean, "keep_dims").b()));
  return true;
}

bool ReplaceProduct(Rewriter* graph, tf::NodeDef* product) {
  for (int side = 0; side < 2; ++side) {
    const tf::PartialTensorShape image = graph->Shape(product->input(side));
    const tf::PartialTensorShape factors = graph->Shape(product->input(1 - side));
    if (!IsImage(image) || !IsImage(factors) || image.dim_size(3) != factors.dim_size(3)) continue;
    if (factors.dim_size(1) != 1 || factors.dim_size(2) != 1) continue;
    if (image.dim_size(1) == 1 && image.dim_size(2) == 1) continue;  // no broadcast
    // FuseArithmetic takes it, with what follows.
    if (factors.dim_size(0) == 1 && ConstantNode(*graph, *product, 1 - side) != nullptr) continue;
    graph->Become(product, ScaleChannelsNode(product->input(side), product->input(1 - side)));
    return true;
  }
  return false;
}

}  // namespace

int ReplaceSqueezeAndExcite(Rewriter* graph) {
  return CountReplaced(graph, {"Mean", "Mul"}, [graph](tf::NodeDef* node) {
    return IsPlain(*graph, node, "Mean") ? ReplaceMean(graph, node)
                                         : IsPlain(*graph, node, "Mul") && ReplaceProduct(graph, node);
  });
}

}  // namespace savedmodel::engine
