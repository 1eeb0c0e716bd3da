// SPDX-License-Identifier: Apache-2.0
// 3x3 convolutions of stride 1 with fewer products, where there are enough channels for the transforms not to
// matter, and enough pixels for weights of 16/9 the size not to:
//
// | pattern (float32, NHWC, constant weights of [3, 3, 32 and more, 32 and more]) | becomes              |
// |-------------------------------------------------------------------------------|----------------------|
// | Conv2D, strides and dilations 1 [-> BiasAdd of a constant]                    | _SavedmodelWinograd  |
// |   [-> Relu, Relu6, LeakyRelu, Elu, Tanh, Sigmoid, x * Sigmoid(x)]             |   (zeros: no bias)   |
// | _FusedConv2D {BiasAdd [, Add]                                                 | _SavedmodelWinograd, |
// |   [, Relu, Relu6, LeakyRelu, Elu or _FusedHardSwish]}                         |   adds in place      |
#include "engine/ops/winograd.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/match.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr std::int64_t kMinChannels = 32;
constexpr std::int64_t kMinSide = 5;  // of an image

bool AreOnes(const std::vector<std::int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](std::int64_t value) { return value == 1; });
}

bool Replace(Rewriter* graph, tf::NodeDef* convolution) {
  if (graph->Type(*convolution) != tf::DT_FLOAT || !IsChannelsLast(*convolution)) return false;
  if (!AreOnes(SpatialAttribute(*convolution, "strides")) ||
      !AreOnes(SpatialAttribute(*convolution, "dilations")))
    return false;
  const tf::NodeDef* weights = ConstantNode(*graph, *convolution, 1);
  if (weights == nullptr) return false;
  const tf::PartialTensorShape shape = ConstantShape(*weights);
  const tf::PartialTensorShape image = graph->Shape(convolution->input(0));
  if (shape.dims() != 4 || shape.dim_size(0) != 3 || shape.dim_size(1) != 3 || image.dims() != 4)
    return false;
  if (shape.dim_size(2) < kMinChannels || shape.dim_size(3) < kMinChannels) return false;
  if (image.dim_size(3) != shape.dim_size(2)) return false;  // groups
  for (const int axis : {1, 2}) {
    if (image.dim_size(axis) >= 0 && image.dim_size(axis) < kMinSide) return false;
  }
  Layer layer;
  if (!MatchLayer(convolution, graph, &layer)) return false;
  ReplaceLayer(layer, WinogradNode(*convolution, WithBias(layer, shape.dim_size(3), graph)), graph);
  return true;
}

}  // namespace

int UseWinograd(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (node->op() == "Conv2D" || node->op() == "_FusedConv2D") count += Replace(graph, node) ? 1 : 0;
  }
  return count;
}

}  // namespace savedmodel::engine
