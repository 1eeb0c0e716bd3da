// SPDX-License-Identifier: Apache-2.0
// The hard swish of MobileNetV3, x * relu6(x + 3) / 6, as oneDNN's convolutions apply it:
//
//   x = BiasAdd(Conv2D(i, w), b)
//   Mul(x, Mul(Relu6(AddV2(x, 3)), 1/6))     _FusedConv2D(i, w, b) {BiasAdd, _FusedHardSwish}
//   Mul(x, RealDiv(Relu6(Add(x, 3)), 6))     the same
//
// and DepthwiseConv2dNative likewise. TensorFlow knows other forms of it.
#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int FuseHardSwish(Rewriter* graph) {
  if (!tf::IsMKLEnabled() || !HasAny(*graph, {"Relu6"})) return 0;
  const auto fits = [graph](const tf::NodeDef& convolution) {
    // The depthwise fused kernel ends the process at explicit paddings.
    return IsLinear(*graph, convolution) &&
           (convolution.op() == "Conv2D" || Attr(convolution, "padding").s() != "EXPLICIT");
  };
  const auto read_twice = [graph](const tf::NodeDef& bias) {
    return IsChannelsLast(bias) && graph->Readers(bias).size() == 2;
  };
  const auto convolution = Op({"Conv2D", "DepthwiseConv2dNative"}).where(fits).once();
  const auto x = Op({"BiasAdd"}, {convolution}).where(read_twice);
  const auto gate = Relu6(Sum(x, Scalar(3)).once()).once();
  const auto sixth = Either({Mul(gate, Scalar(1.0 / 6)), RealDiv(gate, Scalar(6))}).once();
  const auto hard_swish = Mul(x, sixth).loose();
  Match match(graph);
  return CountReplaced(graph, {"Mul"}, [&](tf::NodeDef* product) {
    if (!match.Find(hard_swish, *product)) return false;
    const Epilogue epilogue{match.Node(x).input(1), "", "_FusedHardSwish"};
    BecomeFused(product, match.Node(convolution), epilogue, graph);
    for (const tf::NodeDef* node : match.inside()) {
      if (node != product) graph->Remove(graph->Find(node->name()));
    }
    return true;
  });
}

}  // namespace savedmodel::engine
