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

#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/match.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

struct Layer {
  tf::NodeDef* last = nullptr;  // what the readers read
  std::string bias;
  std::string summand;
  std::string activation;
  float leaky_slope = 0.2F;
};

bool IsPointwise(const tf::NodeDef& convolution, Rewriter* graph) {
  if (graph->Type(convolution) != tf::DT_FLOAT || !IsChannelsLast(convolution)) return false;
  const std::string padding = StringAttribute(convolution, "padding");
  if (padding != "SAME" && padding != "VALID") return false;
  const tf::NodeDef* weights = ConstantNode(*graph, convolution, 1);
  if (weights == nullptr) return false;
  const tf::PartialTensorShape shape = ConstantShape(*weights);
  if (shape.dims() != 4 || shape.dim_size(0) != 1 || shape.dim_size(1) != 1) return false;
  // Fewer channels than the image has: one group of several.
  const tf::PartialTensorShape image = graph->Shape(convolution.input(0));
  return image.dims() == 4 && image.dim_size(3) == shape.dim_size(2) && shape.num_elements() > 0;
}

// What fused ops are said to do; false if the op here can't.
bool MatchFused(const tf::NodeDef& convolution, Layer* layer) {
  const auto& fused = convolution.attr().at("fused_ops").list().s();
  int at = 0;
  if (at == fused.size() || fused[at++] != "BiasAdd") return false;
  layer->bias = convolution.input(2);
  if (at < fused.size() && fused[at] == "Add") {
    layer->summand = convolution.input(3);
    ++at;
  }
  if (at < fused.size()) layer->activation = fused[at++];
  const std::string& act = layer->activation;
  if (convolution.attr().count("leakyrelu_alpha") > 0)
    layer->leaky_slope = convolution.attr().at("leakyrelu_alpha").f();
  return at == fused.size() && (act.empty() || act == "Relu" || act == "Relu6" || act == "LeakyRelu" ||
                                act == "Elu" || act == "_FusedHardSwish");
}

void MatchBias(Rewriter* graph, Layer* layer) {
  tf::NodeDef* next = graph->OnlyReader(*layer->last);
  if (!IsPlain(*graph, next, "BiasAdd") || !IsChannelsLast(*next)) return;
  const tf::NodeDef* constant = ConstantNode(*graph, *next, 1);
  if (constant == nullptr || next->input(0) != layer->last->name()) return;
  layer->bias = constant->name();
  layer->last = next;
}

// The product of `x` and its Sigmoid, which are all that read it, or null.
tf::NodeDef* SwishOf(const tf::NodeDef& x, const Rewriter& graph) {
  const std::vector<Rewriter::Reader>& readers = graph.Readers(x);
  if (readers.size() != 2) return nullptr;
  for (int i = 0; i < 2; ++i) {
    tf::NodeDef* sigmoid = readers[static_cast<std::size_t>(i)].node;
    tf::NodeDef* product = readers[static_cast<std::size_t>(1 - i)].node;
    if (IsPlain(graph, sigmoid, "Sigmoid") && IsPlain(graph, product, "Mul") &&
        graph.OnlyReader(*sigmoid) == product)
      return product;
  }
  return nullptr;
}

void MatchActivation(Rewriter* graph, Layer* layer) {
  if (tf::NodeDef* swish = SwishOf(*layer->last, *graph); swish != nullptr) {
    layer->activation = "Swish";
    layer->last = swish;
    return;
  }
  tf::NodeDef* next = graph->OnlyReader(*layer->last);
  for (const char* op : {"Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid"}) {
    if (IsPlain(*graph, next, op)) layer->activation = op;
  }
  if (layer->activation.empty()) return;
  if (next->op() == "LeakyRelu" && next->attr().count("alpha") > 0)
    layer->leaky_slope = next->attr().at("alpha").f();
  layer->last = next;
}

bool Replace(Rewriter* graph, tf::NodeDef* convolution) {
  if (!IsPointwise(*convolution, graph)) return false;
  Layer layer;
  layer.last = convolution;
  if (convolution->op() == "_FusedConv2D") {
    if (!MatchFused(*convolution, &layer)) return false;
  } else {
    MatchBias(graph, &layer);
    MatchActivation(graph, &layer);
  }
  if (layer.bias.empty()) {
    const std::int64_t channels = ConstantShape(*ConstantNode(*graph, *convolution, 1)).dim_size(3);
    tf::Tensor zeros(tf::DT_FLOAT, {channels});
    zeros.flat<float>().setZero();
    layer.bias = graph->AddConstant(convolution->name() + "/no_bias", zeros)->name();
  }
  const std::vector<std::int64_t> strides = SpatialAttribute(*convolution, "strides");
  std::vector<std::string> inputs{convolution->input(0), convolution->input(1), layer.bias};
  if (!layer.summand.empty()) inputs.push_back(layer.summand);
  graph->Become(convolution, "_SavedmodelDense", inputs);
  auto& attributes = *convolution->mutable_attr();
  attributes["num_summands"].set_i(layer.summand.empty() ? 0 : 1);
  attributes["transpose_b"].set_b(false);
  for (const int axis : {1, 2}) {
    attributes["strides"].mutable_list()->add_i(strides[static_cast<std::size_t>(axis)]);
  }
  attributes["activation"].set_s(layer.activation);
  attributes["leakyrelu_alpha"].set_f(layer.leaky_slope);
  if (layer.last != convolution) graph->Replace(*layer.last, *convolution);
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
