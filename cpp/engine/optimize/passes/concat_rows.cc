// SPDX-License-Identifier: Apache-2.0
// Embeddings side by side, as models of tables have them, become one op that reads indices and tables
// (float32, `table` is constant, `i` is int32 or int64; two and more of the parts are rows of tables):
//
// | part of ConcatV2(..., axis 1), of rank 2 | is                                                      |
// |------------------------------------------|---------------------------------------------------------|
// | GatherV2(table, i, 0)                    | for each row a row of the table                         |
// | Reshape(GatherV2(table, i, 0), [-1, n])  | for each row n / (columns of the table) rows of it      |
// | i = StridedSlice(x, column c)            | the indices of column c of the matrix x                 |
// | i = Select(x < 0, x + rows, x)           | the indices x, which below zero count from the end      |
// | anything else                            | a matrix                                                |
#include "engine/ops/concat_rows.h"

#include <optional>
#include <string>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Numbers = std::vector<std::int64_t>;

class Parts {
 public:
  explicit Parts(Rewriter* graph) : graph_(graph), match_(graph) {}

  bool Replace(tf::NodeDef* concat) {
    const int count = CountDataInputs(*concat) - 1;
    if (count < 2 || graph_->Type(*concat) != tf::DT_FLOAT) return false;
    const auto axis = Integers(graph_->Constant(*concat, count));
    if (axis != Numbers{1} && axis != Numbers{-1}) return false;
    type_ = tf::DT_INVALID;
    int gathered = 0;
    bool is_matrix = false;  // axis 1 is the last
    std::vector<RowsPart> parts;
    for (int i = 0; i < count; ++i) {
      const std::string& input = concat->input(i);
      const std::optional<RowsPart> part = Gathered(*concat, i);
      is_matrix = is_matrix || graph_->Shape(input).dims() == 2;
      gathered += part ? 1 : 0;
      parts.push_back(part.value_or(RowsPart{input, ""}));
    }
    if (gathered < 2 || !is_matrix) return false;
    graph_->Become(concat, ConcatRowsNode(parts, type_));
    return true;
  }

 private:
  // None if the input is a matrix of another kind.
  std::optional<RowsPart> Gathered(const tf::NodeDef& concat, int input) {
    const tf::NodeDef* gather = Once(concat, input);
    const tf::NodeDef* reshape = nullptr;
    if (gather != nullptr && gather->op() == "Reshape") {
      reshape = gather;
      gather = Once(*reshape, 0);
    }
    if (gather == nullptr || gather->op() != "GatherV2" || Attr(*gather, "batch_dims").i() != 0) return {};
    const tf::NodeDef* table = ConstantNode(*graph_, *gather, 0);
    if (table == nullptr || Integers(graph_->Constant(*gather, 2)) != Numbers{0}) return {};
    const tf::PartialTensorShape shape = ConstantShape(*table);
    const tf::DataType type = graph_->Type(*gather, "Tindices");
    if (graph_->Type(*gather, "Tparams") != tf::DT_FLOAT || shape.dims() != 2 || shape.dim_size(1) == 0)
      return {};
    if (type_ != tf::DT_INVALID && type != type_) return {};
    RowsPart part{gather->input(0), gather->input(1)};
    ReadNegative(*gather, shape.dim_size(0), &part);
    const bool has_column = ReadColumn(reshape != nullptr, &part);
    if (reshape != nullptr) {
      const auto sizes = Integers(graph_->Constant(*reshape, 1));
      if (!sizes || sizes->size() != 2 || (*sizes)[0] != -1 || (*sizes)[1] <= 0) return {};
      if ((*sizes)[1] % shape.dim_size(1) != 0) return {};
      part.per_row = (*sizes)[1] / shape.dim_size(1);
      if (has_column && part.per_row != 1) return {};
    } else if (!has_column) {
      part.per_row = 0;
    }
    type_ = type;
    return part;
  }

  const tf::NodeDef* Once(const tf::NodeDef& reader, int input) const {
    const tf::NodeDef* node = graph_->Input(reader, input);
    return node != nullptr && !HasControlInputs(*node) && graph_->OnlyReader(*node) == &reader ? node
                                                                                               : nullptr;
  }

  // Keras 3 lets indices count from the end.
  void ReadNegative(const tf::NodeDef& gather, std::int64_t rows, RowsPart* part) {
    const auto i = Any(), zero = Constant(), size = Constant();
    const auto below = Op({"Less"}, {i, zero}).loose(),
               from_end = Swappable({"AddV2", "Add"}, i, size).loose();
    const auto index = Op({"SelectV2", "Select"}, {below, from_end, i}).loose();
    const tf::NodeDef* root = graph_->Input(gather, 1);
    if (root == nullptr || !match_.Find(index, *root)) return;
    for (const tf::NodeDef* node : match_.inside()) {
      if (HasControlInputs(*node)) return;
    }
    const auto is = [&](const Pattern& constant, std::int64_t value) {
      return Integers(graph_->Value(match_.Node(constant))) == Numbers{value};
    };
    if (!is(zero, 0) || !is(size, rows)) return;
    part->indices = match_.Name(i);
    part->counts_from_end = true;
  }

  // A column that stays a matrix needs a Reshape behind it.
  bool ReadColumn(bool reshaped, RowsPart* part) {
    const TensorRef source(part->indices);
    const tf::NodeDef* slice = graph_->Find(source.node);
    if (slice == nullptr || slice->op() != "StridedSlice" || HasControlInputs(*slice)) return false;
    const auto begin = Integers(graph_->Constant(*slice, 1)), end = Integers(graph_->Constant(*slice, 2)),
               strides = Integers(graph_->Constant(*slice, 3));
    if (!begin || !end || begin->size() != 2 || end->size() != 2 || strides != Numbers{1, 1}) return false;
    const auto mask = [&](const char* name) { return Attr(*slice, name).i(); };
    const bool one =
        mask("shrink_axis_mask") == 2 || (reshaped && mask("shrink_axis_mask") == 0 && mask("end_mask") == 1);
    if (!one || mask("begin_mask") != 1 || (mask("end_mask") & 1) == 0 || mask("ellipsis_mask") != 0 ||
        mask("new_axis_mask") != 0 || (*begin)[1] < 0 || (*end)[1] != (*begin)[1] + 1)
      return false;
    if (graph_->Shape(slice->input(0)).dims() != 2) return false;
    part->indices = slice->input(0);
    part->column = (*begin)[1];
    return true;
  }

  Rewriter* const graph_;
  Match match_;
  tf::DataType type_ = tf::DT_INVALID;
};

}  // namespace

int ConcatenateRows(Rewriter* graph) {
  if (!HasAny(*graph, {"GatherV2"})) return 0;
  Parts parts(graph);
  return CountReplaced(graph, {"ConcatV2"}, [&](tf::NodeDef* node) { return parts.Replace(node); });
}

}  // namespace savedmodel::engine
