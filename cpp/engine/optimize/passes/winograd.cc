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

#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr std::int64_t kMinChannels = 32;
constexpr std::int64_t kMinSide = 5;  // of an image

bool IsChosen(const ConvolutionLayer& layer, Rewriter* graph) {
  const auto& [node, weights, epilogue] = layer;
  if (!AreOnes(node, "strides") || !AreOnes(node, "dilations")) return false;
  if (weights.dim_size(0) != 3 || weights.dim_size(1) != 3) return false;
  if (weights.dim_size(2) < kMinChannels || weights.dim_size(3) < kMinChannels) return false;
  if (!IsOneGroup(node, weights, graph)) return false;
  const tf::PartialTensorShape image = graph->Shape(node.input(0));
  const auto fits = [&](int axis) { return image.dim_size(axis) < 0 || image.dim_size(axis) >= kMinSide; };
  return fits(1) && fits(2);
}

}  // namespace

int UseWinograd(Rewriter* graph) {
  return ReplaceConvolutionLayers(
      graph, {"Conv2D", "_FusedConv2D"},
      [graph](const ConvolutionLayer& layer) { return IsChosen(layer, graph); },
      [](const ConvolutionLayer& layer) { return WinogradNode(layer.node, layer.epilogue); });
}

}  // namespace savedmodel::engine
