// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/concat_rows.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace si = tensorflow::shape_inference;
namespace {

using Index = std::int64_t;

constexpr double kNsPerFloat = 0.2, kNsPerPart = 4;

absl::Status MatrixShape(si::InferenceContext* context) {
  context->set_output(0, context->MakeShape({context->UnknownDim(), context->UnknownDim()}));
  return absl::OkStatus();
}

REGISTER_OP(kConcatRowsOp)
    .Input("values: num_parts * float")
    .Input("indices: num_indices * Tindices")
    .Output("output: float")
    .Attr("num_parts: int >= 1")
    .Attr("num_indices: int >= 1")
    .Attr("Tindices: {int32, int64}")
    .Attr("indices_of: list(int)")       // by part: -1 if it is a matrix
    .Attr("column: list(int)")           // by part: -1 for all indices in order
    .Attr("per_row: list(int)")          // by part
    .Attr("counts_from_end: list(int)")  // by part: 0 or 1
    .SetShapeFn(MatrixShape);

template <typename Number>
class ConcatRowsOp : public tf::OpKernel {
 public:
  explicit ConcatRowsOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    Index parts = 0;
    OP_REQUIRES_OK(context, context->GetAttr("num_parts", &parts));
    const auto read = [&](const char* name, std::vector<Index>* values) {
      TF_RETURN_IF_ERROR(context->GetAttr(name, values));
      if (static_cast<Index>(values->size()) == parts) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(name, " has another length than the values"));
    };
    OP_REQUIRES_OK(context, read("indices_of", &indices_of_));
    OP_REQUIRES_OK(context, read("column", &column_));
    OP_REQUIRES_OK(context, read("per_row", &per_row_));
    OP_REQUIRES_OK(context, read("counts_from_end", &counts_from_end_));
    for (const Index which : indices_of_) {
      OP_REQUIRES(context, which < context->num_inputs() - parts,
                  absl::InvalidArgumentError("there are no such indices"));
    }
  }

  void Compute(tf::OpKernelContext* context) override {
    absl::InlinedVector<Part, 16> parts(indices_of_.size());
    Index rows = -1, columns = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Index own = 0;
      OP_REQUIRES_OK(context, Read(context, i, &parts[i], &own));
      OP_REQUIRES(context, rows < 0 || rows == own,
                  absl::InvalidArgumentError(absl::StrCat(
                      "ConcatOp : Dimension 0 in both shapes must be equal: ", rows, " and ", own)));
      rows = own;
      columns += parts[i].columns;
    }
    tf::Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, {rows, columns}, &output));
    auto* const to = static_cast<float*>(output->data());
    std::atomic<const Number*> wrong{nullptr};
    std::atomic<Index> limit{0};
    const double cost =
        static_cast<double>(columns) * kNsPerFloat + static_cast<double>(parts.size()) * kNsPerPart;
    ParallelFor(context, rows, cost, [&](Index begin, Index end) {
      float* row = to + begin * columns;
      for (Index i = begin; i < end; ++i) {
        for (const Part& part : parts) {
          if (const Number* bad = Copy(part, i, row); bad != nullptr) {
            limit = part.table_rows;
            wrong = bad;
          }
          row += part.columns;
        }
      }
    });
    const Number* bad = wrong;
    OP_REQUIRES(context, bad == nullptr,
                absl::InvalidArgumentError(
                    absl::StrCat("an index is ", *bad, ", which is not in [0, ", limit.load(), ")")));
  }

 private:
  struct Part {
    const float* values = nullptr;
    Index width = 0, columns = 0;  // of a row of the values, of all of the result's
    const Number* indices = nullptr;
    Index stride = 0, count = 0;  // between rows, for each row
    Index table_rows = 0;
    bool counts_from_end = false;
  };

  absl::Status Read(tf::OpKernelContext* context, std::size_t i, Part* part, Index* rows) const {
    const tf::Tensor& values = context->input(static_cast<int>(i));
    if (values.dims() != 2)
      return absl::InvalidArgumentError(
          absl::StrCat("a matrix is expected, not a tensor of shape ", values.shape().DebugString()));
    part->values = static_cast<const float*>(values.data());
    part->width = part->columns = values.dim_size(1);
    *rows = part->table_rows = values.dim_size(0);
    if (indices_of_[i] < 0) return absl::OkStatus();
    const tf::Tensor& indices =
        context->input(static_cast<int>(indices_of_.size()) + static_cast<int>(indices_of_[i]));
    part->indices = static_cast<const Number*>(indices.data());
    part->counts_from_end = counts_from_end_[i] != 0;
    const Index column = column_[i];
    if (column < 0) {
      part->stride = part->count = std::max<Index>(per_row_[i], 1);
      if ((per_row_[i] == 0 && indices.dims() != 1) || indices.NumElements() % part->count != 0)
        return absl::InvalidArgumentError(absl::StrCat("rows of ", part->count, " indices are expected, not ",
                                                       indices.shape().DebugString()));
      *rows = indices.NumElements() / part->count;
    } else {
      if (indices.dims() != 2 || column >= indices.dim_size(1))
        return absl::InvalidArgumentError(absl::StrCat(
            "slice index ", column, " of dimension 1 out of bounds: ", indices.shape().DebugString()));
      part->indices += column;
      part->stride = indices.dim_size(1);
      part->count = 1;
      *rows = indices.dim_size(0);
    }
    part->columns = part->count * part->width;
    return absl::OkStatus();
  }

  // Returns an index that the table does not have, or null.
  static const Number* Copy(const Part& part, Index row, float* to) {
    const std::size_t bytes = static_cast<std::size_t>(part.width) * sizeof(float);
    if (part.indices == nullptr) {
      std::memcpy(to, part.values + row * part.width, bytes);
      return nullptr;
    }
    const Number* indices = part.indices + row * part.stride;
    for (Index i = 0; i < part.count; ++i, to += part.width) {
      Index at = indices[i];
      if (at < 0 && part.counts_from_end) at += part.table_rows;
      if (at < 0 || at >= part.table_rows) return indices + i;
      std::memcpy(to, part.values + at * part.width, bytes);
    }
    return nullptr;
  }

  std::vector<Index> indices_of_, column_, per_row_, counts_from_end_;
};

REGISTER_KERNEL_BUILDER(Name(kConcatRowsOp).Device(tf::DEVICE_CPU).TypeConstraint<std::int32_t>("Tindices"),
                        ConcatRowsOp<std::int32_t>);
REGISTER_KERNEL_BUILDER(Name(kConcatRowsOp).Device(tf::DEVICE_CPU).TypeConstraint<std::int64_t>("Tindices"),
                        ConcatRowsOp<std::int64_t>);

}  // namespace

tf::NodeDef ConcatRowsNode(const std::vector<RowsPart>& parts, tf::DataType type) {
  tf::NodeDef node;
  node.set_op(kConcatRowsOp);
  std::vector<std::string> indices;
  auto& attributes = *node.mutable_attr();
  const auto add = [&](const char* name, Index value) { attributes[name].mutable_list()->add_i(value); };
  for (const RowsPart& part : parts) {
    node.add_input(part.values);
    Index which = -1;
    if (!part.indices.empty()) {
      const auto known = std::find(indices.begin(), indices.end(), part.indices);
      which = known - indices.begin();
      if (known == indices.end()) indices.push_back(part.indices);
    }
    add("indices_of", which);
    add("column", part.column);
    add("per_row", part.per_row);
    add("counts_from_end", part.counts_from_end ? 1 : 0);
  }
  for (const std::string& one : indices) node.add_input(one);
  attributes["num_parts"].set_i(static_cast<Index>(parts.size()));
  attributes["num_indices"].set_i(static_cast<Index>(indices.size()));
  attributes["Tindices"].set_type(type);
  return node;
}

}  // namespace savedmodel::engine
