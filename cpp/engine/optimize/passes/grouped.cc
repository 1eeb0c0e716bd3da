// SPDX-License-Identifier: Apache-2.0
// Grouped convolutions, for which TensorFlow without oneDNN has a slow kernel, and none that applies a bias:
//
// | pattern (float32, NHWC, constant weights of fewer channels than the image has) | becomes             |
// |--------------------------------------------------------------------------------|---------------------|
// | Conv2D [-> BiasAdd of a constant]                                              | _SavedmodelGrouped  |
// |   [-> Relu, Relu6, LeakyRelu, Elu, Tanh, Sigmoid, x * Sigmoid(x)]              |   (zeros: no bias)  |
// | _FusedConv2D {BiasAdd [, Add]                                                  | _SavedmodelGrouped, |
// |   [, Relu, Relu6, LeakyRelu, Elu or _FusedHardSwish]}                          |   adds in place     |
// | any of these without addend, undilated, a group for each channel and result   | _SavedmodelDepthwise|
#include "engine/ops/grouped.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/ops/depthwise.h"
#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/match.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Zero where there is one group, or where the image's channels are not known.
std::int64_t Groups(const tf::NodeDef& convolution, const tf::PartialTensorShape& weights, Rewriter* graph) {
  const tf::PartialTensorShape image = graph->Shape(convolution.input(0));
  if (image.dims() != 4 || weights.dims() != 4 || weights.num_elements() <= 0) return 0;
  const std::int64_t channels = image.dim_size(3), each = weights.dim_size(2);
  if (channels <= each || channels % each != 0) return 0;
  return weights.dim_size(3) % (channels / each) == 0 ? channels / each : 0;
}

bool Undilated(const tf::NodeDef& convolution) {
  const std::vector<std::int64_t> dilations = SpatialAttribute(convolution, "dilations");
  return std::all_of(dilations.begin(), dilations.end(), [](std::int64_t dilation) { return dilation == 1; });
}

// The same values as weights of a depthwise convolution; empty where they can't be read.
std::string DepthwiseWeights(const tf::NodeDef& convolution, Rewriter* graph) {
  const tf::Tensor* value = graph->Constant(convolution, 1);
  tf::Tensor reshaped;
  if (value == nullptr) return "";
  const tf::TensorShape shape({value->dim_size(0), value->dim_size(1), value->dim_size(3), 1});
  if (!reshaped.CopyFrom(*value, shape)) return "";
  return graph->AddConstant(convolution.name() + "/weights", reshaped)->name();
}

bool Replace(Rewriter* graph, tf::NodeDef* convolution, bool only_each) {
  if (graph->Type(*convolution) != tf::DT_FLOAT || !IsChannelsLast(*convolution)) return false;
  const tf::NodeDef* weights = ConstantNode(*graph, *convolution, 1);
  if (weights == nullptr) return false;
  const tf::PartialTensorShape shape = ConstantShape(*weights);
  const std::int64_t groups = Groups(*convolution, shape, graph);
  if (groups < 2) return false;
  Layer layer;
  const bool undilated_each =
      shape.dim_size(2) == 1 && shape.dim_size(3) == groups && Undilated(*convolution);
  if (only_each && !undilated_each) return false;
  if (!MatchLayer(convolution, graph, &layer) || (only_each && !layer.epilogue.addend.empty())) return false;
  const bool each = undilated_each && layer.epilogue.addend.empty();
  const std::string depthwise = each ? DepthwiseWeights(*convolution, graph) : "";
  const Epilogue epilogue = WithBias(layer, shape.dim_size(3), graph);
  ReplaceLayer(layer,
               depthwise.empty() ? GroupedNode(*convolution, epilogue)
                                 : DepthwiseNode(*convolution, depthwise, epilogue),
               graph);
  return true;
}

int ReplaceAll(Rewriter* graph, bool only_each) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (node->op() == "Conv2D" || node->op() == "_FusedConv2D")
      count += Replace(graph, node, only_each) ? 1 : 0;
  }
  return count;
}

}  // namespace

int ReplaceGroupedConvolutions(Rewriter* graph) { return ReplaceAll(graph, false); }

int ReplaceSlowGroupedConvolutions(Rewriter* graph) { return ReplaceAll(graph, tf::IsMKLEnabled()); }

}  // namespace savedmodel::engine
