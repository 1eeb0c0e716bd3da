// SPDX-License-Identifier: Apache-2.0
// The hard swish of MobileNetV3, x * relu6(x + 3) / 6, as oneDNN's convolutions apply it:
//
//   x = BiasAdd(Conv2D(i, w), b)
//   Mul(x, Mul(Relu6(AddV2(x, 3)), 1/6))     _FusedConv2D(i, w, b) {BiasAdd, _FusedHardSwish}
//   Mul(x, RealDiv(Relu6(Add(x, 3)), 6))     the same
//
// and DepthwiseConv2dNative likewise. TensorFlow knows other forms of it.
#include <string>

#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/linear.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

struct HardSwish {
  tf::NodeDef* x = nullptr;
  tf::NodeDef* sum = nullptr;
  tf::NodeDef* clipped = nullptr;
  tf::NodeDef* gate = nullptr;
};

bool ReadOnceBy(const tf::NodeDef* node, const tf::NodeDef& reader, const Rewriter& graph) {
  return node != nullptr && !HasControlInputs(*node) && graph.OnlyReader(*node) == &reader;
}

// `product` with the gate at input `side`.
bool Match(const tf::NodeDef& product, int side, Rewriter* graph, HardSwish* found) {
  found->gate = graph->Input(product, side);
  found->x = graph->Input(product, 1 - side, "BiasAdd");
  if (found->x == nullptr || !ReadOnceBy(found->gate, product, *graph)) return false;
  const bool divides = found->gate->op() == "RealDiv" && graph->IsScalar(*found->gate, 1, 6);
  const int factor = graph->IsScalar(*found->gate, 0, 1.0 / 6) ? 0 : 1;
  if (!divides && (found->gate->op() != "Mul" || !graph->IsScalar(*found->gate, factor, 1.0 / 6)))
    return false;
  found->clipped = graph->Input(*found->gate, divides ? 0 : 1 - factor, "Relu6");
  if (!ReadOnceBy(found->clipped, *found->gate, *graph)) return false;
  found->sum = graph->Input(*found->clipped, 0);
  if (!ReadOnceBy(found->sum, *found->clipped, *graph)) return false;
  if (found->sum->op() != "AddV2" && found->sum->op() != "Add") return false;
  const int three = graph->IsScalar(*found->sum, 0, 3) ? 0 : 1;
  return graph->IsScalar(*found->sum, three, 3) && graph->Input(*found->sum, 1 - three) == found->x;
}

// A convolution in float32 that only `bias` reads, which only two read.
tf::NodeDef* ConvolutionOf(const tf::NodeDef& bias, const Rewriter& graph) {
  if (HasControlInputs(bias) || !IsChannelsLast(bias) || graph.Readers(bias).size() != 2) return nullptr;
  tf::NodeDef* convolution = graph.Input(bias, 0);
  if (!ReadOnceBy(convolution, bias, graph) || !IsLinear(graph, *convolution)) return nullptr;
  const bool depthwise = convolution->op() == "DepthwiseConv2dNative";
  // Its fused kernel ends the process at explicit paddings.
  if (depthwise && Attr(*convolution, "padding").s() == "EXPLICIT") return nullptr;
  return depthwise || convolution->op() == "Conv2D" ? convolution : nullptr;
}

void Fuse(tf::NodeDef* product, const HardSwish& found, tf::NodeDef* convolution, Rewriter* graph) {
  const tf::NodeDef copy = *convolution;
  const bool depthwise = copy.op() == "DepthwiseConv2dNative";
  graph->Become(product, depthwise ? "_FusedDepthwiseConv2dNative" : "_FusedConv2D",
                {copy.input(0), copy.input(1), found.x->input(1)});
  auto& attributes = *product->mutable_attr();
  attributes = copy.attr();
  if (!depthwise) {
    attributes["TArgs"].mutable_list()->add_type(tf::DT_FLOAT);
    attributes["num_host_args"].set_i(0);
  }
  attributes["num_args"].set_i(1);
  attributes["fused_ops"].mutable_list()->add_s("BiasAdd");
  attributes["fused_ops"].mutable_list()->add_s("_FusedHardSwish");
  attributes["epsilon"].set_f(0);
  for (tf::NodeDef* node : {found.gate, found.clipped, found.sum, found.x, convolution}) graph->Remove(node);
}

}  // namespace

int FuseHardSwish(Rewriter* graph) {
  if (!tf::IsMKLEnabled()) return 0;
  int count = 0;
  for (tf::NodeDef* product : graph->nodes()) {
    if (product->op() != "Mul") continue;
    HardSwish found;
    if (!Match(*product, 0, graph, &found) && !Match(*product, 1, graph, &found)) continue;
    tf::NodeDef* convolution = ConvolutionOf(*found.x, *graph);
    if (convolution == nullptr || HasControlInputs(*convolution)) continue;
    Fuse(product, found, convolution, graph);
    ++count;
  }
  return count;
}

}  // namespace savedmodel::engine
