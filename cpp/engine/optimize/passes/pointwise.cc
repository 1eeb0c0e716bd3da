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
#include <string>
#include <vector>

#include "engine/ops/dense.h"
#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/match.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsPointwise(const tf::NodeDef& convolution, Rewriter* graph) {
  if (graph->Type(convolution) != tf::DT_FLOAT || !IsChannelsLast(convolution)) return false;
  const std::string padding = Attr(convolution, "padding").s();
  if (padding != "SAME" && padding != "VALID") return false;
  const tf::NodeDef* weights = ConstantNode(*graph, convolution, 1);
  if (weights == nullptr) return false;
  const tf::PartialTensorShape shape = ConstantShape(*weights);
  if (shape.dims() != 4 || shape.dim_size(0) != 1 || shape.dim_size(1) != 1) return false;
  // Fewer channels than the image has: one group of several.
  const tf::PartialTensorShape image = graph->Shape(convolution.input(0));
  return image.dims() == 4 && image.dim_size(3) == shape.dim_size(2) && shape.num_elements() > 0;
}

bool Replace(Rewriter* graph, tf::NodeDef* convolution) {
  if (!IsPointwise(*convolution, graph)) return false;
  Layer layer;
  if (!MatchLayer(convolution, graph, &layer)) return false;
  const std::int64_t channels = ConstantShape(*ConstantNode(*graph, *convolution, 1)).dim_size(3);
  const std::vector<std::int64_t> strides = SpatialAttribute(*convolution, "strides");
  const tf::NodeDef dense = DenseNode(convolution->input(0), convolution->input(1), false,
                                      {strides[1], strides[2]}, WithBias(layer, channels, graph));
  ReplaceLayer(layer, dense, graph);
  return true;
}

}  // namespace

int ReplacePointwiseConvolutions(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (node->op() == "Conv2D" || node->op() == "_FusedConv2D") count += Replace(graph, node) ? 1 : 0;
  }
  return count;
}

}  // namespace savedmodel::engine
