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
//
// Convolutions of one group over time (images and weights of height 1) become _SavedmodelGrouped too, if an
// activation follows that oneDNN's do not apply.
#include "engine/ops/grouped.h"

#include <string>

#include "engine/ops/depthwise.h"
#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Zero where there is one group, or where the image's channels are not known.
std::int64_t Groups(const tf::NodeDef& convolution, const tf::PartialTensorShape& weights, Rewriter* graph) {
  const tf::PartialTensorShape image = graph->Shape(convolution.input(0));
  if (image.dims() != 4) return 0;
  const std::int64_t channels = image.dim_size(3), each = weights.dim_size(2);
  if (channels <= each || channels % each != 0) return 0;
  return weights.dim_size(3) % (channels / each) == 0 ? channels / each : 0;
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
  const tf::PartialTensorShape weights = ConvolutionWeights(*graph, *convolution);
  const std::int64_t groups = weights.dims() == 4 ? Groups(*convolution, weights, graph) : 0;
  if (groups < 2) return false;
  Layer layer;
  bool each = weights.dim_size(2) == 1 && weights.dim_size(3) == groups && AreOnes(*convolution, "dilations");
  if ((only_each && !each) || !MatchLayer(convolution, graph, &layer)) return false;
  each = each && layer.epilogue.addend.empty();
  if (only_each && !each) return false;
  const std::string depthwise = each ? DepthwiseWeights(*convolution, graph) : "";
  const Epilogue epilogue = WithBias(layer, weights.dim_size(3), graph);
  ReplaceLayer(layer,
               depthwise.empty() ? GroupedNode(*convolution, epilogue)
                                 : DepthwiseNode(*convolution, depthwise, epilogue),
               graph);
  return true;
}

int ReplaceAll(Rewriter* graph, bool only_each) {
  return CountReplaced(graph, {"Conv2D", "_FusedConv2D"},
                       [=](tf::NodeDef* node) { return Replace(graph, node, only_each); });
}

// Chosen convolutions of one group become an op that multiplies windows with weights.
template <typename Chosen>
int ReplaceOneGroup(Rewriter* graph, const Chosen& chosen) {
  return CountReplaced(graph, {"Conv2D", "_FusedConv2D"}, [&](tf::NodeDef* node) {
    const tf::PartialTensorShape weights = ConvolutionWeights(*graph, *node);
    if (weights.dims() != 4 || !IsOneGroup(*node, weights, graph)) return false;
    Layer layer;
    if (!MatchLayer(node, graph, &layer) || !chosen(*node, layer)) return false;
    ReplaceLayer(layer, GroupedNode(*node, WithBias(layer, weights.dim_size(3), graph)), graph);
    return true;
  });
}

}  // namespace

int ReplaceConvolutions(Rewriter* graph, const std::function<bool(const tf::NodeDef&)>& chosen) {
  return ReplaceOneGroup(graph, [&](const tf::NodeDef& node, const Layer&) { return chosen(node); });
}

int ReplaceConvolutionsOverTime(Rewriter* graph) {
  return ReplaceOneGroup(graph, [&](const tf::NodeDef& node, const Layer& layer) {
    const tf::PartialTensorShape weights = ConvolutionWeights(*graph, node);
    return weights.dim_size(0) == 1 && graph->Shape(node.input(0)).dim_size(1) == 1 &&
           !IsOneOf(layer.epilogue.activation, {"", "Relu", "Relu6", "LeakyRelu", "Elu"});
  });
}

int ReplaceGroupedConvolutions(Rewriter* graph) { return ReplaceAll(graph, false); }

int ReplaceSlowGroupedConvolutions(Rewriter* graph) { return ReplaceAll(graph, tf::IsMKLEnabled()); }

}  // namespace savedmodel::engine
