// SPDX-License-Identifier: Apache-2.0
// Depthwise convolutions without oneDNN's set-up, and with the swish that its kernel can't apply:
//
// | pattern (float32, NHWC, constant weights of [h, w, channels, 1], undilated)  | becomes              |
// |------------------------------------------------------------------------------|----------------------|
// | DepthwiseConv2dNative [-> BiasAdd of a constant]                             | _SavedmodelDepthwise |
// |   [-> Relu, Relu6, LeakyRelu, Elu, Tanh, Sigmoid, x * Sigmoid(x)]            |   (zeros: no bias)   |
// | _FusedDepthwiseConv2dNative {BiasAdd [, Relu, Relu6, Elu, _FusedHardSwish]}  |                      |
#include "engine/ops/depthwise.h"

#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int ReplaceDepthwiseConvolutions(Rewriter* graph) {
  const auto replace = [graph](tf::NodeDef* convolution) {
    const tf::PartialTensorShape weights = ConvolutionWeights(*graph, *convolution);
    if (weights.dims() != 4 || weights.dim_size(3) != 1 || !AreOnes(*convolution, "dilations")) return false;
    Layer layer;
    if (!MatchLayer(convolution, graph, &layer) || !layer.epilogue.addend.empty()) return false;
    const Epilogue epilogue = WithBias(layer, weights.dim_size(2), graph);
    ReplaceLayer(layer, DepthwiseNode(*convolution, convolution->input(1), epilogue), graph);
    return true;
  };
  return CountReplaced(graph, {"DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative"}, replace);
}

}  // namespace savedmodel::engine
