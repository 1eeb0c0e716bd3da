// SPDX-License-Identifier: Apache-2.0
// m = Mean(x, last axis), v = Mean(SquaredDifference(x, m)) or Mean((x - m)^2), r = Rsqrt(v + epsilon); gamma
// and beta are constant rows.
// | exported by         | pattern                                      | becomes                         |
// |---------------------|----------------------------------------------|---------------------------------|
// | Keras 3             | x * (r * gamma) + (-m * (r * gamma) + beta)  | _SavedmodelLayerNorm            |
// | tf.nn, Keras 2      | x * (r * gamma) + (beta - m * (r * gamma))   | _SavedmodelLayerNorm            |
// | by hand             | (x - m) * r * gamma + beta                   | _SavedmodelLayerNorm            |
// | by hand             | (x - m) / Sqrt(v + epsilon) * gamma + beta   | _SavedmodelLayerNorm            |
#include "engine/ops/layer_norm.h"

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsOverLastAxis(const tf::NodeDef& mean, Rewriter* graph) {
  if (!Attr(mean, "keep_dims").b()) return false;
  const int dims = graph->Shape(mean.input(0)).dims();
  const auto axes = Integers(graph->Constant(mean, 1));
  return axes && axes->size() == 1 && dims >= 1 && (axes->front() == -1 || axes->front() == dims - 1);
}

bool IsFloat(const tf::NodeDef& constant) { return Attr(constant, "dtype").type() == tf::DT_FLOAT; }

}  // namespace

int FuseLayerNorm(Rewriter* graph) {
  if (!HasAny(*graph, {"Rsqrt", "Sqrt"})) return 0;
  const auto average = [graph](const Pattern& of) {
    return Op({"Mean"}, {of}).where([graph](const tf::NodeDef& mean) { return IsOverLastAxis(mean, graph); });
  };
  const auto x = Any(), epsilon = AnyScalar(), mean = average(x);
  const auto gamma = Constant().where(IsFloat), beta = Constant().where(IsFloat);
  // Each m and x - m may be a node of its own.
  const auto m = [&] { return Either({mean, Op({"StopGradient", "Identity"}, {mean}).loose()}); };
  const auto off = [&] { return Sub(x, m()); };
  const auto off_twice = off();
  const auto squares = Either({SquaredDifference(x, m()), Square(off()), Mul(off_twice, off_twice)});
  const auto variance = Sum(epsilon, average(squares));
  const auto scale = Mul(Rsqrt(variance), gamma), root = Sqrt(variance);
  const auto shift = Either({Sub(beta, Factors(1, {m(), scale})), Sum(beta, Factors(-1, {m(), scale}))});
  const auto normal = Either({Factors(1, {off(), Rsqrt(variance), gamma}), Mul(RealDiv(off(), root), gamma),
                              RealDiv(Mul(off(), gamma), root)});
  const auto layer_norm = Either({Sum(Mul(x, scale), shift), Sum(beta, normal)});
  Match match(graph);
  return CountReplaced(graph, {"AddV2", "Add"}, [&](tf::NodeDef* node) {
    if (!match.Find(layer_norm, *node) || !match.IsAlone()) return false;
    const tf::PartialTensorShape shape = graph->Shape(match.Name(x));
    const std::int64_t columns = shape.dims() < 1 ? 0 : shape.dim_size(shape.dims() - 1);
    const auto is_row = [&](const Pattern& constant) {
      return IsRow(ConstantShape(match.Node(constant)), columns, shape.dims());
    };
    if (columns <= 0 || !is_row(gamma) || !is_row(beta)) return false;
    graph->Become(
        node, LayerNormNode(match.Name(x), FlatConstant(graph, match.Node(gamma), node->name() + "/gamma"),
                            FlatConstant(graph, match.Node(beta), node->name() + "/beta"),
                            static_cast<float>(match.Number(epsilon))));
    return true;
  });
}

}  // namespace savedmodel::engine
