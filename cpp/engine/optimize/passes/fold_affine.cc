// SPDX-License-Identifier: Apache-2.0
// Folds affine ops per channel behind a convolution or matrix product with constant weights into the weights
// and one BiasAdd. Batch norms come as any mixture of these (c is constant):
//
//   BiasAdd(x, c)   Add(x, c)   AddV2(c, x)   Sub(x, c)   Sub(c, x)   Mul(x, c)   RealDiv(x, c)   Div(x, c)
//   FusedBatchNorm(x, c, c, c, c), V2, V3
//
//   Conv2D -> Mul -> AddV2                        Conv2D' -> BiasAdd
//   MatMul -> BiasAdd -> Mul -> Sub               MatMul' -> BiasAdd
//   Conv2D -> Squeeze -> BiasAdd -> Mul           Conv2D' -> Squeeze -> BiasAdd    (one-dimensional)
//   DepthwiseConv2dNative -> Mul                  DepthwiseConv2dNative'
//
// Conv3D and Conv2DBackpropInput (a transposed convolution) as Conv2D.
#include <algorithm>
#include <string>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

struct Affine {
  std::vector<double> scale;
  std::vector<double> shift;
};

// Adds what `node` does to its input number `from`; false if that isn't affine.
bool Append(const tf::NodeDef& node, int from, int rank, Rewriter* graph, Affine* sum) {
  if (HasControlInputs(node) || graph->Type(node) != tf::DT_FLOAT) return false;
  const std::size_t channels = sum->scale.size();
  std::vector<double> scale(channels, 1), shift(channels, 0), values;
  const std::string& op = node.op();
  if (op.rfind("FusedBatchNorm", 0) == 0) {
    if (from != 0 || !IsConstantBatchNorm(node, graph, &scale, &shift) || scale.size() != channels)
      return false;
  } else {
    const bool adds = IsOneOf(op, {"Add", "AddV2", "BiasAdd"}), divides = IsOneOf(op, {"RealDiv", "Div"});
    const bool known = adds || divides || op == "Sub" || op == "Mul";
    if (!known || from > 1 || (from == 1 && (op == "BiasAdd" || divides))) return false;
    if (op == "BiasAdd" && !IsChannelsLast(node)) return false;
    const tf::Tensor* constant = graph->Constant(node, 1 - from);
    if (constant == nullptr || !PerChannel(*constant, rank, static_cast<std::int64_t>(channels), &values))
      return false;
    for (std::size_t i = 0; i < channels; ++i) {
      if (op == "Mul") scale[i] = values[i];
      if (divides) scale[i] = 1 / values[i];
      if (adds) shift[i] = values[i];
      if (op == "Sub") shift[i] = from == 0 ? -values[i] : values[i];
      if (op == "Sub" && from == 1) scale[i] = -1;
    }
  }
  for (std::size_t i = 0; i < channels; ++i) {
    sum->scale[i] *= scale[i];
    sum->shift[i] = sum->shift[i] * scale[i] + shift[i];
  }
  return true;
}

// The Squeeze of heights that one-dimensional convolutions have, or null.
tf::NodeDef* SqueezeBehind(const tf::NodeDef& linear, const Rewriter& graph) {
  tf::NodeDef* squeeze = graph.OnlyReader(linear);
  if (squeeze == nullptr || squeeze->op() != "Squeeze") return nullptr;
  if (!IsOneOf(linear.op(), {"Conv2D", "DepthwiseConv2dNative"})) return nullptr;
  const auto& dims = Attr(*squeeze, "squeeze_dims").list();
  if (dims.i_size() != 1) return nullptr;
  const std::int64_t dim = dims.i(0);
  return dim == 3 || dim == -1 ? nullptr : squeeze;
}

bool Fold(tf::NodeDef* linear, Rewriter* graph) {
  const tf::Tensor* found = graph->Constant(*linear, 1);
  const int dims = linear->op() == "MatMul" ? 2 : linear->op() == "Conv3D" ? 5 : 4;
  if (found == nullptr || found->dims() != dims) return false;
  const tf::Tensor weights = *found;
  const auto channels = static_cast<std::size_t>(Channels(*linear, weights));
  Affine sum{std::vector<double>(channels, 1), std::vector<double>(channels, 0)};
  tf::NodeDef* base = linear;
  int rank = weights.dims();
  if (tf::NodeDef* squeeze = SqueezeBehind(*linear, *graph); squeeze != nullptr) {
    base = squeeze;
    --rank;
  }
  std::vector<tf::NodeDef*> steps;
  for (tf::NodeDef* next = graph->OnlyReader(*base); next != nullptr; next = graph->OnlyReader(*next)) {
    const tf::NodeDef* last = steps.empty() ? base : steps.back();
    const int from = graph->Readers(*last)[0].input;
    if (!Append(*next, from, rank, graph, &sum)) break;
    steps.push_back(next);
  }
  if (steps.empty() || (steps.size() == 1 && steps[0]->op() == "BiasAdd")) return false;

  const auto is = [](double value) { return [value](double other) { return other == value; }; };
  const bool scales = !std::all_of(sum.scale.begin(), sum.scale.end(), is(1));
  const bool shifts = !std::all_of(sum.shift.begin(), sum.shift.end(), is(0));
  const tf::Tensor bias = FloatVector(sum.shift);
  const tf::Tensor scaled = scales ? Scaled(*linear, weights, sum.scale) : weights;
  // The product may overflow where the separate ops did not.
  if (!AllFinite(bias) || (scales && !AllFinite(scaled))) return false;
  if (scales) {
    tf::NodeDef* old = graph->Input(*linear, 1);
    graph->SetInput(linear, 1, graph->AddConstant(linear->name() + "/weights", scaled)->name());
    if (graph->Readers(*old).empty()) graph->Remove(old);
  }
  tf::NodeDef* tail = steps.back();
  if (shifts) {
    BecomeBiasAdd(tail, base->name(), bias, graph);
  } else {
    graph->Replace(*tail, *base);
    graph->Remove(tail);
  }
  for (auto step = steps.rbegin() + 1; step != steps.rend(); ++step) graph->Remove(*step);
  return true;
}

}  // namespace

int FoldAffineIntoWeights(Rewriter* graph) {
  return CountReplaced(graph, {"Conv2D", "DepthwiseConv2dNative", "MatMul", "Conv3D", "Conv2DBackpropInput"},
                       [graph](tf::NodeDef* node) { return IsAnyLinear(*node, graph) && Fold(node, graph); });
}

}  // namespace savedmodel::engine
