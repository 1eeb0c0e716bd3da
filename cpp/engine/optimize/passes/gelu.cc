// SPDX-License-Identifier: Apache-2.0
// | exported by | pattern, factors in any order and grouping                | becomes                       |
// |-------------|-----------------------------------------------------------|-------------------------------|
// | Keras 3     | 0.5 * x * Erfc(-x / sqrt(2))                              | _SavedmodelGelu               |
// | Keras 2, HF | 0.5 * x * (1 + Erf(x / sqrt(2)))                          | _SavedmodelGelu               |
// | all, "tanh" | 0.5 * x * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) | _SavedmodelGelu {approximate} |
#include "engine/optimize/passes/gelu.h"

#include <cmath>

#include "engine/ops/gelu.h"
#include "engine/optimize/passes/match.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

const double kSqrtHalf = std::sqrt(0.5);
const double kSqrt2OverPi = std::sqrt(2 / std::acos(-1.0));

// x to the power of `power`, times `scale`.
bool IsPower(Rewriter* graph, const std::string& tensor, const std::string& x, double scale, int power) {
  Product product = Factors(graph, tensor);
  if (!IsClose(product.scale, scale)) return false;
  while (!product.tensors.empty()) {
    const std::string factor = product.tensors.back();
    product.tensors.pop_back();
    const tf::NodeDef* node = graph->Find(TensorRef(factor).node);
    double exponent = 1;
    if (factor != x) {
      if (IsPlain(*graph, node, "Square")) {
        exponent = 2;
      } else if (!IsPlain(*graph, node, "Pow") || !ScalarValue(graph, *node, 1, &exponent)) {
        return false;
      }
      if (graph->OnlyReader(*node) == nullptr || node->input(0) != x) return false;
    }
    if (exponent != std::floor(exponent) || exponent < 1 || exponent > power) return false;
    power -= static_cast<int>(exponent);
  }
  return power == 0;
}

// sqrt(2 / pi) * (x + 0.044715 * x^3), or with x taken out of the sum.
bool IsTanhArgument(Rewriter* graph, const std::string& tensor, const std::string& x) {
  Product product = Factors(graph, tensor);
  if (!IsClose(product.scale, kSqrt2OverPi)) return false;
  const bool outside = product.tensors.size() == 2 && product.Take(x);
  if (product.tensors.size() != 1) return false;
  const tf::NodeDef* sum = graph->Find(TensorRef(product.tensors[0]).node);
  if (!IsSum(*graph, sum) || graph->OnlyReader(*sum) == nullptr) return false;
  if (outside) {
    const int one = ScalarInput(graph, *sum, 1);
    return one >= 0 && IsPower(graph, sum->input(1 - one), x, 0.044715, 2);
  }
  for (int i = 0; i < 2; ++i) {
    if (sum->input(i) == x && IsPower(graph, sum->input(1 - i), x, 0.044715, 3)) return true;
  }
  return false;
}

// Finds x if the product that ends in `root` is 0.5 * x * `gate`.
bool TakeHalf(Rewriter* graph, const tf::NodeDef& root, const std::string& gate, std::string* x) {
  Product product = Factors(graph, root.name());
  if (!product.Take(gate) || product.tensors.size() != 1 || !IsClose(product.scale, 0.5)) return false;
  *x = product.tensors[0];
  return true;
}

bool IsGateOf(Rewriter* graph, const tf::NodeDef& function, const std::string& x) {
  if (function.op() == "Tanh") return IsTanhArgument(graph, function.input(0), x);
  Product argument = Factors(graph, function.input(0));
  return argument.Take(x) && argument.tensors.empty() &&
         IsClose(argument.scale, function.op() == "Erfc" ? -kSqrtHalf : kSqrtHalf);
}

bool Fuse(Rewriter* graph, const tf::NodeDef& function) {
  const tf::NodeDef* gate = &function;
  if (function.op() != "Erfc") {
    gate = graph->OnlyReader(function);
    if (!IsSum(*graph, gate) || ScalarInput(graph, *gate, 1) < 0) return false;
  }
  tf::NodeDef* root = graph->OnlyReader(*gate);
  // The product may go on after the GELU: try where it may end, from the inside.
  for (; root != nullptr && IsPlain(*graph, root, "Mul"); root = graph->OnlyReader(*root)) {
    std::string x;
    if (!TakeHalf(graph, *root, gate->name(), &x) || !IsGateOf(graph, function, x)) continue;
    const bool approximate = function.op() == "Tanh";
    graph->Become(root, GeluNode(x, approximate));
    return true;
  }
  return false;
}

}  // namespace

int FuseGelu(Rewriter* graph) {
  int count = 0;
  for (const tf::NodeDef* node : graph->nodes()) {
    if (IsPlain(*graph, node, "Erfc") || IsPlain(*graph, node, "Erf") || IsPlain(*graph, node, "Tanh")) {
      count += Fuse(graph, *node) ? 1 : 0;
    }
  }
  return count;
}

}  // namespace savedmodel::engine
