// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/layer.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/linear.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool MatchFused(const tf::NodeDef& convolution, Layer* layer) {
  const auto& fused = Attr(convolution, "fused_ops").list().s();
  int at = 0;
  if (at == fused.size() || fused[at++] != "BiasAdd") return false;
  Epilogue& epilogue = layer->epilogue;
  epilogue.bias = convolution.input(2);
  if (at < fused.size() && fused[at] == "Add") {
    epilogue.addend = convolution.input(3);
    ++at;
  }
  if (at < fused.size()) epilogue.activation = fused[at++];
  const std::string& act = epilogue.activation;
  if (const tf::AttrValue* alpha = FindAttr(convolution, "leakyrelu_alpha"); alpha != nullptr)
    epilogue.alpha = alpha->f();
  return at == fused.size() && IsOneOf(act, {"", "Relu", "Relu6", "LeakyRelu", "Elu", "_FusedHardSwish"});
}

void MatchBias(Rewriter* graph, Layer* layer) {
  tf::NodeDef* next = graph->OnlyReader(*layer->last);
  if (!IsPlain(*graph, next, "BiasAdd") || !IsChannelsLast(*next)) return;
  const tf::NodeDef* constant = ConstantNode(*graph, *next, 1);
  if (constant == nullptr || next->input(0) != layer->last->name()) return;
  layer->epilogue.bias = constant->name();
  layer->last = next;
}

// The product of `x` and its Sigmoid, which are all that read it, or null.
tf::NodeDef* SwishOf(const tf::NodeDef& node, Rewriter* graph) {
  const std::vector<Rewriter::Reader>& readers = graph->Readers(node);
  if (readers.size() != 2) return nullptr;
  const auto x = Is({&node, 0}), swish = Mul(x, Sigmoid(x).once());
  const auto found = std::find_if(readers.begin(), readers.end(), [&](const Rewriter::Reader& reader) {
    return Match(graph).Find(swish, *reader.node);
  });
  return found == readers.end() ? nullptr : found->node;
}

// Reads the epilogue from the nodes behind a convolution, or from the attributes of a fused one. False if the
// custom ops do not have it.
bool MatchLayer(tf::NodeDef* convolution, Rewriter* graph, Layer* layer) {
  layer->root = layer->last = convolution;
  if (convolution->op().rfind("_Fused", 0) == 0) return MatchFused(*convolution, layer);
  MatchBias(graph, layer);
  tf::NodeDef* next = SwishOf(*layer->last, graph);
  if (next == nullptr) {
    MatchActivation(graph, layer);
  } else {
    layer->epilogue.activation = "Swish";
    layer->last = next;
  }
  return true;
}

}  // namespace

void MatchActivation(Rewriter* graph, Layer* layer) {
  tf::NodeDef* next = graph->OnlyReader(*layer->last);
  if (IsActivation(*graph, next, &layer->epilogue.activation, &layer->epilogue.alpha)) layer->last = next;
}

Epilogue WithBias(const Layer& layer, std::int64_t channels, Rewriter* graph) {
  Epilogue epilogue = layer.epilogue;
  if (!epilogue.bias.empty()) return epilogue;
  tf::Tensor zeros(tf::DT_FLOAT, {channels});
  zeros.flat<float>().setZero();
  epilogue.bias = graph->AddConstant(layer.root->name() + "/no_bias", zeros)->name();
  return epilogue;
}

int ReplaceConvolutionLayers(Rewriter* graph, std::initializer_list<const char*> ops,
                             const std::function<bool(const ConvolutionLayer& layer)>& chosen,
                             const std::function<tf::NodeDef(const ConvolutionLayer& layer)>& make) {
  return CountReplaced(graph, ops, [&](tf::NodeDef* node) {
    const tf::PartialTensorShape weights = ConvolutionWeights(*graph, *node);
    Layer matched;
    if (weights.dims() != 4 || !MatchLayer(node, graph, &matched)) return false;
    ConvolutionLayer layer{*node, weights, matched.epilogue};
    if (!chosen(layer)) return false;
    const bool depthwise = node->op().find("Depthwise") != std::string::npos;
    const std::int64_t results = weights.dim_size(3) * (depthwise ? weights.dim_size(2) : 1);
    layer.epilogue = WithBias(matched, results, graph);
    graph->Become(node, make(layer));
    if (matched.last != node) graph->Replace(*matched.last, *node);
    return true;
  });
}

void BecomeFused(tf::NodeDef* node, const tf::NodeDef& convolution, const Epilogue& epilogue,
                 Rewriter* graph) {
  const tf::NodeDef copy = convolution;
  const bool depthwise = copy.op() == "DepthwiseConv2dNative";
  std::vector<std::string> inputs{copy.input(0), copy.input(1), epilogue.bias};
  if (!epilogue.addend.empty()) inputs.push_back(epilogue.addend);
  graph->Become(node, depthwise ? "_FusedDepthwiseConv2dNative" : "_FusedConv2D", inputs);
  auto& attributes = *node->mutable_attr();
  attributes = copy.attr();
  attributes["num_args"].set_i(static_cast<std::int64_t>(inputs.size()) - 2);
  for (const char* op : {"BiasAdd", epilogue.addend.empty() ? "" : "Add", epilogue.activation.c_str()}) {
    if (*op != 0) attributes["fused_ops"].mutable_list()->add_s(op);
  }
  attributes["epsilon"].set_f(0);
  attributes["leakyrelu_alpha"].set_f(epilogue.alpha);
  if (depthwise) return;
  attributes["num_host_args"].set_i(0);
  for (std::size_t i = 2; i < inputs.size(); ++i) attributes["TArgs"].mutable_list()->add_type(tf::DT_FLOAT);
}

}  // namespace savedmodel::engine
