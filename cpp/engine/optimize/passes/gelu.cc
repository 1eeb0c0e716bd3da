// SPDX-License-Identifier: Apache-2.0
// | exported by | pattern, factors in any order and grouping                | becomes                       |
// |-------------|-----------------------------------------------------------|-------------------------------|
// | Keras 3     | 0.5 * x * Erfc(-x / sqrt(2))                              | _SavedmodelGelu               |
// | Keras 2, HF | 0.5 * x * (1 + Erf(x / sqrt(2)))                          | _SavedmodelGelu               |
// | all, "tanh" | 0.5 * x * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) | _SavedmodelGelu {approximate} |
// |             |   or ... * x * (1 + 0.044715 * x^2)                       |                               |
#include "engine/ops/gelu.h"

#include <cmath>

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr double kCubic = 0.044715;
const double kSqrtHalf = std::sqrt(0.5);
const double kSqrt2OverPi = std::sqrt(2 / std::acos(-1.0));

}  // namespace

int FuseGelu(Rewriter* graph) {
  if (!HasAny(*graph, {"Erf", "Erfc", "Tanh"})) return 0;
  const auto x = Any();
  const auto exact =
      Either({Erfc(Factors(-kSqrtHalf, {x})), Sum(Scalar(1), Erf(Factors(kSqrtHalf, {x})).once())}).once();

  const auto square = Either({Square(x), Pow(x, Scalar(2))}).once(), cube = Pow(x, Scalar(3)).once();
  const auto x_square = Either({Factors(kCubic, {square}), Factors(kCubic, {x, x})});
  const auto x_cube =
      Either({Factors(kCubic, {cube}), Factors(kCubic, {x, square}), Factors(kCubic, {x, x, x})});
  const auto argument = Either({Factors(kSqrt2OverPi, {Sum(x, x_cube).once()}),
                                Factors(kSqrt2OverPi, {x, Sum(Scalar(1), x_square).once()})});
  const auto approximate = Sum(Scalar(1), Tanh(argument).once()).once();

  const auto gelu = Factors(0.5, {x, Either({exact, approximate})});
  Match match(graph);
  return CountReplaced(graph, {"Mul"}, [&](tf::NodeDef* root) {
    if (!match.Find(gelu, *root)) return false;
    graph->Become(root, GeluNode(match.Name(x), match[approximate].known()));
    return true;
  });
}

}  // namespace savedmodel::engine
