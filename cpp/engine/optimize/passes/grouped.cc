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
std::int64_t Groups(const ConvolutionLayer& layer, Rewriter* graph) {
  const tf::PartialTensorShape image = graph->Shape(layer.node.input(0));
  if (image.dims() != 4) return 0;
  const std::int64_t channels = image.dim_size(3), each = layer.weights.dim_size(2);
  if (channels <= each || channels % each != 0) return 0;
  return layer.weights.dim_size(3) % (channels / each) == 0 ? channels / each : 0;
}

// True if it is a depthwise convolution: a group for each channel and result.
bool IsDepthwise(const ConvolutionLayer& layer, std::int64_t groups) {
  return layer.weights.dim_size(2) == 1 && layer.weights.dim_size(3) == groups &&
         AreOnes(layer.node, "dilations") && layer.epilogue.addend.empty();
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

int ReplaceAll(Rewriter* graph, bool only_depthwise) {
  return ReplaceConvolutionLayers(
      graph, {"Conv2D", "_FusedConv2D"},
      [=](const ConvolutionLayer& layer) {
        const std::int64_t groups = Groups(layer, graph);
        return groups > 1 && (!only_depthwise || IsDepthwise(layer, groups));
      },
      [=](const ConvolutionLayer& layer) {
        const bool depthwise = IsDepthwise(layer, Groups(layer, graph));
        const std::string weights = depthwise ? DepthwiseWeights(layer.node, graph) : "";
        return weights.empty() ? GroupedNode(layer.node, layer.epilogue)
                               : DepthwiseNode(layer.node, weights, layer.epilogue);
      });
}

// Chosen convolutions of one group become an op that multiplies windows with weights.
template <typename Chosen>
int ReplaceOneGroup(Rewriter* graph, const Chosen& chosen) {
  return ReplaceConvolutionLayers(
      graph, {"Conv2D", "_FusedConv2D"},
      [&](const ConvolutionLayer& layer) {
        return IsOneGroup(layer.node, layer.weights, graph) && chosen(layer);
      },
      [](const ConvolutionLayer& layer) { return GroupedNode(layer.node, layer.epilogue); });
}

}  // namespace

int ReplaceConvolutions(Rewriter* graph, const std::function<bool(const tf::NodeDef&)>& chosen) {
  return ReplaceOneGroup(graph, [&](const ConvolutionLayer& layer) { return chosen(layer.node); });
}

int ReplaceConvolutionsOverTime(Rewriter* graph) {
  return ReplaceOneGroup(graph, [graph](const ConvolutionLayer& layer) {
    return layer.weights.dim_size(0) == 1 && graph->Shape(layer.node.input(0)).dim_size(1) == 1 &&
           !IsOneOf(layer.epilogue.activation, {"", "Relu", "Relu6", "LeakyRelu", "Elu"});
  });
}

int ReplaceGroupedConvolutions(Rewriter* graph) { return ReplaceAll(graph, false); }

int ReplaceSlowGroupedConvolutions(Rewriter* graph) { return ReplaceAll(graph, tf::IsMKLEnabled()); }

}  // namespace savedmodel::engine
