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
  return ReplaceConvolutionLayers(
      graph, {"DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative"},
      [](const ConvolutionLayer& layer) {
        return layer.weights.dim_size(3) == 1 && AreOnes(layer.node, "dilations") &&
               layer.epilogue.addend.empty();
      },
      [](const ConvolutionLayer& layer) {
        return DepthwiseNode(layer.node, layer.node.input(1), layer.epilogue);
      });
}

}  // namespace savedmodel::engine
