// SPDX-License-Identifier: Apache-2.0
// How tf.tensordot, and so Keras, writes a dense layer for an input of three and more dimensions that are not
// all known (float32, w a constant of two dimensions, x's last dimension is w's first):
//
//   Reshape(MatMul(Reshape(x, ...), w), ConcatV2(GatherV2(Shape(x), {0, 1, ...}), {columns}))
//
// becomes BatchMatMulV2(x, w).
#include "engine/optimize/passes/dense.h"
#include "engine/optimize/passes/match.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Whether the input is a constant {first, first + 1, ...}.
bool HoldsInts(Rewriter* graph, const tf::NodeDef& node, int input, std::int64_t first, std::int64_t count) {
  const tf::Tensor* values = graph->Constant(node, input);
  if (values == nullptr || values->NumElements() != count) return false;
  const bool narrow = values->dtype() == tf::DT_INT32;
  if (!narrow && values->dtype() != tf::DT_INT64) return false;
  for (std::int64_t i = 0; i < count; ++i) {
    if ((narrow ? values->flat<std::int32_t>()(i) : values->flat<std::int64_t>()(i)) != first + i)
      return false;
  }
  return true;
}

// The shape of `x`, but for its last dimension.
bool RestoresRows(Rewriter* graph, const tf::NodeDef& reshape, const std::string& x, std::int64_t columns) {
  const tf::NodeDef* concat = graph->Input(reshape, 1, "ConcatV2");
  if (concat == nullptr || CountDataInputs(*concat) != 3) return false;
  const tf::NodeDef* gather = graph->Input(*concat, 0, "GatherV2");
  if (gather == nullptr || !HoldsInts(graph, *concat, 1, columns, 1) || !HoldsInts(graph, *concat, 2, 0, 1))
    return false;
  const tf::NodeDef* shape = graph->Input(*gather, 0, "Shape");
  return shape != nullptr && shape->input(0) == x &&
         HoldsInts(graph, *gather, 1, 0, graph->Shape(x).dims() - 1) && HoldsInts(graph, *gather, 2, 0, 1);
}

bool Replace(Rewriter* graph, const tf::NodeDef& product) {
  const tf::NodeDef* rows = graph->Input(product, 0, "Reshape");
  const tf::NodeDef* weights = ConstantNode(*graph, product, 1);
  if (!IsPlain(*graph, rows, "Reshape") || weights == nullptr || Attr(product, "transpose_a").b())
    return false;
  const bool transposed = Attr(product, "transpose_b").b();
  const tf::PartialTensorShape shape = ConstantShape(*weights);
  const std::string x = rows->input(0);
  const tf::PartialTensorShape before = graph->Shape(x);
  if (shape.dims() != 2 || before.dims() < 3 ||
      before.dim_size(before.dims() - 1) != shape.dim_size(transposed ? 1 : 0))
    return false;
  const tf::NodeDef* reshape = graph->OnlyReader(product);
  if (!IsPlain(*graph, reshape, "Reshape") || reshape->input(0) != product.name() ||
      !RestoresRows(graph, *reshape, x, shape.dim_size(transposed ? 0 : 1)))
    return false;
  tf::NodeDef* batched = graph->Add(product.name() + "/rows", "BatchMatMulV2", {x, product.input(1)});
  auto& attributes = *batched->mutable_attr();
  attributes["T"].set_type(tf::DT_FLOAT);
  attributes["adj_x"].set_b(false);
  attributes["adj_y"].set_b(transposed);
  graph->Replace(*reshape, *batched);
  return true;
}

}  // namespace

int ReplaceTensordot(Rewriter* graph) {
  int count = 0;
  for (const tf::NodeDef* node : graph->nodes()) {
    if (IsPlain(*graph, node, "MatMul")) count += Replace(graph, *node) ? 1 : 0;
  }
  return count;
}

}  // namespace savedmodel::engine
