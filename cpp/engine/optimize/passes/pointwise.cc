// SPDX-License-Identifier: Apache-2.0
// A 1x1 convolution is a product of its pixels with its weights:
//
// | pattern (float32, NHWC, constant weights of [1, 1, channels, n]) | becomes           |
// |------------------------------------------------------------------|-------------------|
// | Conv2D [-> BiasAdd of a constant]                                | _SavedmodelDense  |
// |   [-> Relu, Relu6, LeakyRelu, Elu, Tanh, Sigmoid, x * Sigmoid(x)]|   (zeros: no bias)|
// | _FusedConv2D {BiasAdd [, Add]                                    | _SavedmodelDense, |
// |   [, Relu, Relu6, LeakyRelu, Elu or _FusedHardSwish]}            |   adds in place   |
//
// Of any strides. Padding changes nothing: SAME has none to add for a window of one pixel.
#include "engine/ops/dense.h"
#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int ReplacePointwiseConvolutions(Rewriter* graph) {
  return ReplaceConvolutionLayers(
      graph, {"Conv2D", "_FusedConv2D"},
      [graph](const ConvolutionLayer& layer) {
        return layer.weights.dim_size(0) == 1 && layer.weights.dim_size(1) == 1 &&
               IsOneOf(Attr(layer.node, "padding").s(), {"SAME", "VALID"}) &&
               IsOneGroup(layer.node, layer.weights, graph);
      },
      [](const ConvolutionLayer& layer) {
        const std::vector<std::int64_t> strides = SpatialAttribute(layer.node, "strides");
        return DenseNode(layer.node.input(0), layer.node.input(1), false, {strides[1], strides[2]},
                         layer.epilogue);
      });
}

}  // namespace savedmodel::engine
