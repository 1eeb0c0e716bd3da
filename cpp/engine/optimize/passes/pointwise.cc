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
  const auto replace = [graph](tf::NodeDef* convolution) {
    const tf::PartialTensorShape weights = ConvolutionWeights(*graph, *convolution);
    if (weights.dims() != 4 || weights.dim_size(0) != 1 || weights.dim_size(1) != 1) return false;
    if (!IsOneOf(Attr(*convolution, "padding").s(), {"SAME", "VALID"})) return false;
    Layer layer;
    if (!IsOneGroup(*convolution, weights, graph) || !MatchLayer(convolution, graph, &layer)) return false;
    const std::vector<std::int64_t> strides = SpatialAttribute(*convolution, "strides");
    const Epilogue epilogue = WithBias(layer, weights.dim_size(3), graph);
    const tf::NodeDef dense =
        DenseNode(convolution->input(0), convolution->input(1), false, {strides[1], strides[2]}, epilogue);
    ReplaceLayer(layer, dense, graph);
    return true;
  };
  return CountReplaced(graph, {"Conv2D", "_FusedConv2D"}, replace);
}

}  // namespace savedmodel::engine
