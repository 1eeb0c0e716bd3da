// SPDX-License-Identifier: Apache-2.0
// Depthwise convolutions without oneDNN's set-up, and with the swish that its kernel can't apply:
//
// | pattern (float32, NHWC, constant weights of [h, w, channels, 1], undilated)  | becomes              |
// |------------------------------------------------------------------------------|----------------------|
// | DepthwiseConv2dNative [-> BiasAdd of a constant]                             | _SavedmodelDepthwise |
// |   [-> Relu, Relu6, LeakyRelu, Elu, Tanh, Sigmoid, x * Sigmoid(x)]            |   (zeros: no bias)   |
// | _FusedDepthwiseConv2dNative {BiasAdd [, Relu, Relu6, Elu, _FusedHardSwish]}  |                      |
#include "engine/ops/depthwise.h"

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

bool Replace(Rewriter* graph, tf::NodeDef* convolution) {
  if (graph->Type(*convolution) != tf::DT_FLOAT || !IsChannelsLast(*convolution)) return false;
  const std::vector<std::int64_t> dilations = SpatialAttribute(*convolution, "dilations");
  const auto is_one = [](std::int64_t dilation) { return dilation == 1; };
  const tf::NodeDef* weights = ConstantNode(*graph, *convolution, 1);
  if (weights == nullptr || !std::all_of(dilations.begin(), dilations.end(), is_one)) return false;
  const tf::PartialTensorShape shape = ConstantShape(*weights);
  if (shape.dims() != 4 || shape.dim_size(3) != 1 || shape.num_elements() <= 0) return false;
  Layer layer;
  if (!MatchLayer(convolution, graph, &layer) || !layer.epilogue.addend.empty()) return false;
  const Epilogue epilogue = WithBias(layer, shape.dim_size(2), graph);
  ReplaceLayer(layer, DepthwiseNode(*convolution, convolution->input(1), epilogue), graph);
  return true;
}

}  // namespace

int ReplaceDepthwiseConvolutions(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    const bool is_depthwise =
        node->op() == "DepthwiseConv2dNative" || node->op() == "_FusedDepthwiseConv2dNative";
    count += is_depthwise && Replace(graph, node) ? 1 : 0;
  }
  return count;
}

}  // namespace savedmodel::engine
