// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/layer.h"

#include <vector>

#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/match.h"
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
  return at == fused.size() && (act.empty() || act == "Relu" || act == "Relu6" || act == "LeakyRelu" ||
                                act == "Elu" || act == "_FusedHardSwish");
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

}  // namespace

bool MatchLayer(tf::NodeDef* convolution, Rewriter* graph, Layer* layer) {
  layer->convolution = layer->last = convolution;
  if (convolution->op().rfind("_Fused", 0) == 0) return MatchFused(*convolution, layer);
  MatchBias(graph, layer);
  tf::NodeDef* next = SwishOf(*layer->last, *graph);
  if (next != nullptr) {
    layer->epilogue.activation = "Swish";
    layer->last = next;
  } else if (next = graph->OnlyReader(*layer->last);
             IsActivation(*graph, next, &layer->epilogue.activation, &layer->epilogue.alpha)) {
    layer->last = next;
  }
  return true;
}

Epilogue WithBias(const Layer& layer, std::int64_t channels, Rewriter* graph) {
  Epilogue epilogue = layer.epilogue;
  if (epilogue.bias.empty()) epilogue.bias = ZeroBias(graph, layer.convolution->name(), channels);
  return epilogue;
}

void ReplaceLayer(const Layer& layer, const tf::NodeDef& node, Rewriter* graph) {
  graph->Become(layer.convolution, node);
  if (layer.last != layer.convolution) graph->Replace(*layer.last, *layer.convolution);
}

}  // namespace savedmodel::engine
