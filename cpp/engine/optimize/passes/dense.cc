// SPDX-License-Identifier: Apache-2.0
// | pattern                                                               | becomes                       |
// |-----------------------------------------------------------------------|-------------------------------|
// | [Reshape to rows ->] MatMul or BatchMatMulV2 (float32, constant b     | _SavedmodelDense [-> Reshape] |
// |   of two dimensions) [-> Reshape that keeps or splits the columns]    |                               |
// |   [-> BiasAdd, AddV2 or Add of a constant row]                        |   (zeros where no bias is)    |
// |   [-> AddV2 or Add of anything of the same shape]                     |   adds in place               |
// |   [-> Relu, Relu6, LeakyRelu, Elu, Tanh, Sigmoid or _SavedmodelGelu]  |                               |
#include "engine/ops/dense.h"

#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsTransposed(const tf::NodeDef& product) {
  return Attr(product, "transpose_b").b() || Attr(product, "adj_y").b();
}

struct DenseLayer : Layer {
  tf::NodeDef* reshape = nullptr;  // or null
  int column_dims = 1;             // of what `reshape` makes
  std::string rows_of;             // what a Reshape made the product's input of, or empty
};

// True if a reshape of one to the other can only keep all but the last dimensions as they are.
bool SameRows(const tf::PartialTensorShape& a, const tf::PartialTensorShape& b) {
  if (a.dims() < 2 || a.dims() != b.dims()) return false;
  int unknown = 0;
  for (int i = 0; i + 1 < a.dims(); ++i) {
    if (a.dim_size(i) == 0 || a.dim_size(i) != b.dim_size(i)) return false;
    unknown += a.dim_size(i) < 0 ? 1 : 0;
  }
  return unknown <= 1;
}

// Rows are made of `a` by a Reshape that need not be: the op takes any rank.
void MatchInput(Rewriter* graph, std::int64_t depth, DenseLayer* layer) {
  const tf::NodeDef* reshape = graph->Input(*layer->root, 0, "Reshape");
  if (!IsPlain(*graph, reshape, "Reshape") || graph->OnlyReader(*reshape) == nullptr) return;
  const tf::PartialTensorShape before = graph->Shape(reshape->input(0));
  if (before.dims() >= 2 && before.dim_size(before.dims() - 1) == depth) layer->rows_of = reshape->input(0);
}

// The columns may become several dimensions.
void MatchReshape(Rewriter* graph, std::int64_t columns, DenseLayer* layer) {
  tf::NodeDef* next = graph->OnlyReader(*layer->last);
  if (!IsPlain(*graph, next, "Reshape") || next->input(0) != layer->last->name()) return;
  const tf::PartialTensorShape shape = graph->Shape(next->name());
  std::int64_t size = 1;
  int dims = 0;
  while (dims < shape.dims() && size < columns) size *= shape.dim_size(shape.dims() - ++dims);
  if (size != columns || dims == shape.dims()) return;
  layer->reshape = layer->last = next;
  layer->column_dims = dims;
}

void MatchBias(Rewriter* graph, std::int64_t columns, DenseLayer* layer) {
  tf::NodeDef* next = graph->OnlyReader(*layer->last);
  const bool bias_add = IsPlain(*graph, next, "BiasAdd");
  if (!bias_add && !IsSum(*graph, next)) return;
  if (bias_add && Attr(*next, "data_format").s() == "NCHW") return;
  const int input = next->input(0) == layer->last->name() ? 1 : 0;
  const tf::NodeDef* constant = ConstantNode(*graph, *next, input);
  if (constant == nullptr) return;
  const tf::PartialTensorShape bias = ConstantShape(*constant);
  const tf::PartialTensorShape shape = graph->Shape(layer->last->name());
  const bool same_dims = layer->column_dims == bias.dims() && bias.num_elements() == columns;
  for (int i = 1; i <= bias.dims() && same_dims && bias.dims() > 1; ++i) {
    if (bias.dim_size(bias.dims() - i) != shape.dim_size(shape.dims() - i)) return;
  }
  if (!same_dims && (layer->column_dims != 1 || !IsRow(bias, columns, shape.dims()))) return;
  layer->epilogue.bias = constant->name();
  layer->last = next;
}

// The op wants an addend of its own shape: where there is a reshape behind it, that must be gone.
void MatchAddend(Rewriter* graph, bool reshaped, DenseLayer* layer) {
  tf::NodeDef* next = graph->OnlyReader(*layer->last);
  if (reshaped || !IsSum(*graph, next)) return;
  const int input = next->input(0) == layer->last->name() ? 1 : 0;
  if (next->input(input) == layer->last->name() || !graph->SameShape(next->input(0), next->input(1))) return;
  layer->epilogue.addend = next->input(input);
  layer->last = next;
}

bool Fuse(Rewriter* graph, tf::NodeDef* product) {
  if (Attr(*product, "transpose_a").b() || Attr(*product, "adj_x").b()) return false;
  const tf::NodeDef* weights = ConstantNode(*graph, *product, 1);
  if (weights == nullptr) return false;
  const tf::PartialTensorShape shape = ConstantShape(*weights);
  if (shape.dims() != 2 || shape.num_elements() <= 0) return false;
  const int last = IsTransposed(*product) ? 0 : 1;
  const std::int64_t columns = shape.dim_size(last);
  if (graph->Shape(product->input(0)).dims() < 2) return false;  // BatchMatMulV2 of an unknown rank
  DenseLayer layer;
  layer.root = layer.last = product;
  MatchInput(graph, shape.dim_size(1 - last), &layer);
  MatchReshape(graph, columns, &layer);
  MatchBias(graph, columns, &layer);
  // The one reshape undoes the other.
  const bool drop = !layer.rows_of.empty() && layer.reshape != nullptr && layer.column_dims == 1 &&
                    SameRows(graph->Shape(layer.rows_of), graph->Shape(layer.reshape->name()));
  MatchAddend(graph, layer.reshape != nullptr && !drop, &layer);
  MatchActivation(graph, &layer);
  graph->Become(product, DenseNode(drop ? layer.rows_of : product->input(0), product->input(1),
                                   IsTransposed(*product), {1, 1}, WithBias(layer, columns, graph)));
  tf::NodeDef* result = layer.reshape == nullptr || drop ? product : layer.reshape;
  if (layer.last != result) graph->Replace(*layer.last, *result);
  return true;
}

}  // namespace

int FuseDense(Rewriter* graph) {
  return CountReplaced(graph, {"MatMul", "BatchMatMulV2"}, [graph](tf::NodeDef* node) {
    return graph->Type(*node) == tf::DT_FLOAT && Fuse(graph, node);
  });
}

}  // namespace savedmodel::engine
