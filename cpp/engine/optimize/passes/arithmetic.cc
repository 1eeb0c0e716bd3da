// SPDX-License-Identifier: Apache-2.0
// Fuses scales and shifts per channel that no weights could take in: images before the first layer, batch
// norms before an activation. TensorFlow runs an op for each step; with few channels its broadcast takes 1.5
// ns a float.
//
// | pattern (float32, c a constant scalar or row, the rank of x known)     | becomes                     |
// |------------------------------------------------------------------------|-----------------------------|
// | x, then any of Add, AddV2, BiasAdd, Sub (either way), Mul, RealDiv(, c),| _SavedmodelArithmetic(x, c...)|
// | two at least or one with a row, then maybe an activation               |                             |
#include "engine/ops/arithmetic.h"

#include <string>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

struct Step {
  tf::NodeDef* node = nullptr;
  int from = 0;  // which input is x
  std::string name;
  bool is_row = false;
};

bool IsConstantOf(Rewriter* graph, const tf::NodeDef& node, int input, std::int64_t columns, int rank,
                  bool* is_row) {
  const tf::Tensor* constant = graph->Constant(node, input);
  if (constant == nullptr || constant->dtype() != tf::DT_FLOAT || constant->dims() > rank) return false;
  *is_row = constant->NumElements() != 1;
  return !*is_row || IsRow(constant->shape(), columns, rank);
}

// A step, and which of its inputs is x.
bool IsStep(Rewriter* graph, tf::NodeDef* node, Step* step) {
  if (node == nullptr) return false;
  const bool sum = IsSum(*graph, node), bias = IsPlain(*graph, node, "BiasAdd");
  const bool difference = IsPlain(*graph, node, "Sub"), quotient = IsPlain(*graph, node, "RealDiv");
  if (!sum && !difference && !quotient && !IsPlain(*graph, node, "Mul") && !(bias && IsChannelsLast(*node)))
    return false;
  for (int from = 0; from < (quotient || bias ? 1 : 2); ++from) {
    const tf::PartialTensorShape shape = graph->Shape(node->input(from));
    if (shape.dims() < 1 || shape.dim_size(shape.dims() - 1) < 1) continue;
    bool is_row = false;
    if (!IsConstantOf(graph, *node, 1 - from, shape.dim_size(shape.dims() - 1), shape.dims(), &is_row))
      continue;
    *step = {node, from, sum || bias ? "Add" : difference && from == 1 ? "SubFrom" : node->op(), is_row};
    return true;
  }
  return false;
}

// TensorFlow's own fusions look for what is behind these: bias and activation of linear layers, gamma and
// beta of layer and instance norms.
bool IsFusedLater(const Rewriter& graph, const tf::NodeDef& node, const tf::NodeDef& reader) {
  if (graph.OnlyReader(node) != &reader) return false;
  const std::string& op = node.op();
  if (op == "Reshape") {
    const tf::NodeDef* from = graph.Input(node, 0);
    return from != nullptr && from->op().rfind("FusedBatchNorm", 0) == 0;
  }
  return IsOneOf(op, {"Squeeze", "BatchToSpaceND", "Rsqrt"}) || op.find("Conv") != std::string::npos ||
         op.find("MatMul") != std::string::npos;
}

bool Fuse(Rewriter* graph, tf::NodeDef* first) {
  Step step;
  if (!IsStep(graph, first, &step)) return false;
  const std::string x = first->input(step.from);
  tf::NodeDef* const base = graph->Input(*first, step.from);
  Step before;
  if (base == nullptr || IsFusedLater(*graph, *base, *first)) return false;
  if (graph->OnlyReader(*base) == first && IsStep(graph, base, &before)) return false;  // not the first
  std::vector<Step> steps{step};
  tf::NodeDef* next = graph->OnlyReader(*first);
  for (; IsStep(graph, next, &step) && graph->Input(*next, step.from) == steps.back().node;
       next = graph->OnlyReader(*next)) {
    steps.push_back(step);
  }
  if (steps.size() < 2 && !steps[0].is_row) return false;
  std::string activation;
  float alpha = 0.2F;
  const bool activates = IsActivation(*graph, next, &activation, &alpha);
  // Alone these are parts of what others look for, an instance norm's shift for one.
  const bool part = first->op() == "BiasAdd" || steps[0].name == "SubFrom";
  if (!activates && steps.size() == 1 && part) return false;
  tf::NodeDef* const last = activates ? next : steps.back().node;
  std::vector<ArithmeticStep> described;
  for (const Step& each : steps) described.push_back({each.name, each.node->input(1 - each.from)});
  graph->Become(last, ArithmeticNode(x, described, activation, alpha));
  for (auto each = steps.rbegin(); each != steps.rend(); ++each) {
    if (each->node != last) graph->Remove(each->node);
  }
  return true;
}

}  // namespace

int FuseArithmetic(Rewriter* graph) {
  return CountReplaced(graph, {"Add", "AddV2", "BiasAdd", "Sub", "Mul", "RealDiv"},
                       [graph](tf::NodeDef* node) { return Fuse(graph, node); });
}

}  // namespace savedmodel::engine
