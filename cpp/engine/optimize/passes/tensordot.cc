// SPDX-License-Identifier: Apache-2.0
// How tf.tensordot, and so Keras, writes a dense layer for an input of three and more dimensions that are not
// all known (float32, w a constant of two dimensions, x's last dimension is w's first):
//
//   Reshape(MatMul(Reshape(x, ...), w), ConcatV2(GatherV2(Shape(x), {0, 1, ...}), {columns}))
//
// becomes BatchMatMulV2(x, w).
#include <numeric>

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

int ReplaceTensordot(Rewriter* graph) {
  if (!HasAny(*graph, {"GatherV2"})) return 0;
  using Numbers = std::vector<std::int64_t>;
  const auto numbers = [graph](const tf::NodeDef& constant) { return Integers(graph->Value(constant)); };
  const auto zero = [&] {
    return Constant().where([&](const tf::NodeDef& constant) { return numbers(constant) == Numbers{0}; });
  };
  const auto x = Any(), weights = Constant(), axes = Constant(), columns = Constant();
  const auto product = Op({"MatMul"}, {Op({"Reshape"}, {x}), weights}).once();
  const auto rows = Op({"GatherV2"}, {Op({"Shape"}, {x}).loose(), axes, zero()}).loose();
  const auto shape = Op({"ConcatV2"}, {rows, columns, zero()}).loose();
  const auto tensordot = Op({"Reshape"}, {product, shape});
  Match match(graph);
  return CountReplaced(graph, {"Reshape"}, [&](tf::NodeDef* reshape) {
    if (!match.Find(tensordot, *reshape) || CountDataInputs(match.Node(shape)) != 3) return false;
    const tf::NodeDef& found = match.Node(product);
    const bool transposed = Attr(found, "transpose_b").b();
    const tf::PartialTensorShape before = graph->Shape(match.Name(x)),
                                 matrix = ConstantShape(match.Node(weights));
    if (Attr(found, "transpose_a").b() || matrix.dims() != 2 || before.dims() < 3) return false;
    Numbers kept(static_cast<std::size_t>(before.dims() - 1));
    std::iota(kept.begin(), kept.end(), 0);
    if (before.dim_size(before.dims() - 1) != matrix.dim_size(transposed ? 1 : 0) ||
        numbers(match.Node(axes)) != kept ||
        numbers(match.Node(columns)) != Numbers{matrix.dim_size(transposed ? 0 : 1)})
      return false;
    tf::NodeDef* batched =
        graph->Add(found.name() + "/rows", "BatchMatMulV2", {match.Name(x), found.input(1)});
    auto& attributes = *batched->mutable_attr();
    attributes["T"].set_type(tf::DT_FLOAT);
    attributes["adj_x"].set_b(false);
    attributes["adj_y"].set_b(transposed);
    graph->Replace(*reshape, *batched);
    return true;
  });
}

}  // namespace savedmodel::engine
