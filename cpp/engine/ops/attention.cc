// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/attention.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/isa.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

namespace si = tf::shape_inference;

constexpr double kMultiplicationsPerNs = 50;
constexpr double kSoftmaxNs = 0.5;  // an element

// Broadcasts dimensions: returns the one that is not 1, or an unknown one if several may differ.
si::DimensionHandle Common(si::InferenceContext* context, const std::vector<si::DimensionHandle>& dims) {
  si::DimensionHandle common = context->MakeDim(1);
  bool found = false;
  for (const si::DimensionHandle dim : dims) {
    if (context->Value(dim) == 1) continue;
    if (context->Value(dim) > 1) return dim;
    if (found && !common.SameHandle(dim)) return context->UnknownDim();
    common = dim;
    found = true;
  }
  return common;
}

absl::Status InferShape(si::InferenceContext* context) {
  std::vector<bool> heads_first;
  TF_RETURN_IF_ERROR(context->GetAttr("heads_first", &heads_first));
  if (heads_first.size() != 4) return absl::InvalidArgumentError("heads_first is of four");
  std::array<std::vector<si::DimensionHandle>, 3> dims;  // samples, heads, queries
  si::ShapeHandle value;
  for (int i = 0; i < 3; ++i) {
    si::ShapeHandle shape;
    TF_RETURN_IF_ERROR(context->WithRank(context->input(i), 4, &shape));
    const bool first = heads_first[static_cast<std::size_t>(i)];
    dims[0].push_back(context->Dim(shape, 0));
    dims[1].push_back(context->Dim(shape, first ? 1 : 2));
    if (i == 0) dims[2].push_back(context->Dim(shape, first ? 2 : 1));
    value = shape;
  }
  if (context->num_inputs() > 3) {
    si::ShapeHandle mask;
    TF_RETURN_IF_ERROR(context->WithRankAtMost(context->input(3), 4, &mask));
    const int rank = context->Rank(mask);
    for (int i = 0; i < 3; ++i) {
      if (rank >= 4 - i) dims[static_cast<std::size_t>(i)].push_back(context->Dim(mask, i + rank - 4));
      if (!context->RankKnown(mask)) dims[static_cast<std::size_t>(i)].push_back(context->UnknownDim());
    }
  }
  const si::DimensionHandle heads = Common(context, dims[1]), queries = Common(context, dims[2]);
  context->set_output(0, context->MakeShape({Common(context, dims[0]), heads_first[3] ? heads : queries,
                                             heads_first[3] ? queries : heads, context->Dim(value, 3)}));
  return absl::OkStatus();
}

REGISTER_OP(kAttentionOp)
    .Input("query: float")
    .Input("key: float")
    .Input("value: float")
    .Input("mask: num_masks * float")
    .Output("attended: float")
    .Attr("num_masks: int >= 0 = 0")
    .Attr("scale: float = 1")
    .Attr("heads_first: list(bool)")
    .Attr("broadcasts: list(bool)")
    .SetShapeFn(InferShape);

// A tensor as [sample, head, position, depth].
struct View {
  View(const tf::Tensor& tensor, bool heads_first) {
    const tf::TensorShape& shape = tensor.shape();
    samples = shape.dim_size(0);
    heads = shape.dim_size(heads_first ? 1 : 2);
    rows = shape.dim_size(heads_first ? 2 : 1);
    depth = shape.dim_size(3);
    const std::int64_t inner = shape.dim_size(2) * depth;
    at = {static_cast<const float*>(tensor.data()), shape.dim_size(1) * inner, heads_first ? inner : depth,
          heads_first ? depth : inner};
  }
  // A mask: of four dimensions, the missing ones in front.
  explicit View(const tf::Tensor& mask) : View(mask, Padded(mask.shape())) {}

  // The same row for all where there is but one.
  HeadRows Broadcast() const {
    return {at.data, samples == 1 ? 0 : at.sample_stride, heads == 1 ? 0 : at.head_stride,
            rows == 1 ? 0 : at.row_stride};
  }

  HeadRows at;
  std::int64_t samples, heads, rows, depth;

 private:
  static tf::TensorShape Padded(tf::TensorShape shape) {
    while (shape.dims() < 4) shape.InsertDim(0, 1);
    return shape;
  }
  View(const tf::Tensor& mask, const tf::TensorShape& shape)
      : at{static_cast<const float*>(mask.data()), shape.dim_size(1) * shape.dim_size(2) * shape.dim_size(3),
           shape.dim_size(2) * shape.dim_size(3), shape.dim_size(3)},
        samples(shape.dim_size(0)),
        heads(shape.dim_size(1)),
        rows(shape.dim_size(2)),
        depth(shape.dim_size(3)) {}
};

// Makes `size` what it and `other` broadcast to; false if they don't.
bool Widen(std::int64_t* size, std::int64_t other) {
  if (*size == 1) *size = other;
  return other == 1 || other == *size;
}

// Whether a product of what there is with `other` is defined, of which samples and heads become these.
bool Meet(const View& other, bool broadcasts, AttentionProblem* problem) {
  if (!broadcasts) return problem->samples == other.samples && problem->heads == other.heads;
  return Widen(&problem->samples, other.samples) && Widen(&problem->heads, other.heads);
}

class AttentionOp : public tf::OpKernel {
 public:
  explicit AttentionOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_));
    OP_REQUIRES_OK(context, context->GetAttr("heads_first", &heads_first_));
    OP_REQUIRES_OK(context, context->GetAttr("broadcasts", &broadcasts_));
    OP_REQUIRES(context, heads_first_.size() == 4 && broadcasts_.size() == 2,
                absl::InvalidArgumentError("heads_first is of four, broadcasts of two"));
  }

  void Compute(tf::OpKernelContext* context) override {
    const bool masked = context->num_inputs() > 3;
    for (int i = 0; i < 3; ++i) {
      OP_REQUIRES(context, context->input(i).dims() == 4, Mismatch(context));
    }
    OP_REQUIRES(context, !masked || (context->input(3).dims() >= 1 && context->input(3).dims() <= 4),
                Mismatch(context));
    const View query(context->input(0), heads_first_[0]), key(context->input(1), heads_first_[1]),
        value(context->input(2), heads_first_[2]);
    AttentionProblem problem{};
    problem.samples = query.samples;
    problem.heads = query.heads;
    problem.rows = query.rows;
    problem.columns = key.rows;
    problem.depth = query.depth;
    problem.value_depth = value.depth;
    problem.scale = scale_;
    bool fits = query.depth == key.depth && Meet(key, broadcasts_[0], &problem);
    tf::Tensor widened;
    problem.mask.data = nullptr;
    if (fits && masked) {
      const View mask(context->input(3));
      fits = Widen(&problem.samples, mask.samples) && Widen(&problem.heads, mask.heads) &&
             Widen(&problem.rows, mask.rows) && Widen(&problem.columns, mask.depth);
      problem.mask = mask.Broadcast();
      if (fits && mask.depth != problem.columns) {
        OP_REQUIRES_OK(context, WidenRows(context, mask, problem.columns, &widened, &problem.mask));
      }
    }
    fits = fits && problem.columns == value.rows && Meet(value, broadcasts_[1], &problem);
    OP_REQUIRES(context, fits, Mismatch(context));
    problem.query = query.Broadcast();
    problem.key = key.Broadcast();
    problem.value = value.at;
    if (value.samples == 1) problem.value.sample_stride = 0;
    if (value.heads == 1) problem.value.head_stride = 0;
    Attend(context, &problem);
  }

 private:
  // One number for a row of scores becomes a row.
  static absl::Status WidenRows(tf::OpKernelContext* context, const View& mask, std::int64_t columns,
                                tf::Tensor* widened, HeadRows* rows) {
    const std::int64_t count = mask.samples * mask.heads * mask.rows;
    TF_RETURN_IF_ERROR(context->allocate_temp(tf::DT_FLOAT, {count, columns}, widened));
    auto* to = static_cast<float*>(widened->data());
    for (std::int64_t i = 0; i < count; ++i) std::fill_n(to + i * columns, columns, mask.at.data[i]);
    rows->data = to;
    rows->sample_stride *= columns;
    rows->head_stride *= columns;
    rows->row_stride *= columns;
    return absl::OkStatus();
  }

  void Attend(tf::OpKernelContext* context, AttentionProblem* problem) const {
    const bool first = heads_first_[3];
    tf::Tensor* out = nullptr;
    OP_REQUIRES_OK(context,
                   context->allocate_output(0,
                                            {problem->samples, first ? problem->heads : problem->rows,
                                             first ? problem->rows : problem->heads, problem->value_depth},
                                            &out));
    if (out->NumElements() == 0) return;
    const View view(*out, first);
    problem->out = static_cast<float*>(out->data());
    if (problem->columns == 0) {  // a sum of nothing
      std::fill_n(problem->out, out->NumElements(), 0.0F);
      return;
    }
    problem->out_sample_stride = view.at.sample_stride;
    problem->out_head_stride = view.at.head_stride;
    problem->out_row_stride = view.at.row_stride;
    const std::int64_t parts = PartsOfHead(*problem, UsableThreads(context));
    const auto scores = static_cast<double>(problem->rows * problem->columns) / static_cast<double>(parts);
    const auto depth = static_cast<double>(problem->depth + problem->value_depth);
    const double cost = scores * (depth / kMultiplicationsPerNs + kSoftmaxNs);
    const Stop stop = StopOf(context);
    if (cost > kNsBetweenLooks) problem->stop = &stop;
    ParallelFor(context, problem->samples * problem->heads * parts, cost,
                [&](std::int64_t begin, std::int64_t end) {
                  engine::Attend(BestIsa(), *problem, parts, begin, end);
                });
  }

  static absl::Status Mismatch(tf::OpKernelContext* context) {
    std::string shapes;
    for (int i = 0; i < context->num_inputs(); ++i) {
      absl::StrAppend(&shapes, i == 0 ? "" : ", ", context->input(i).shape().DebugString());
    }
    return absl::InvalidArgumentError(
        absl::StrCat("Incompatible shapes of query, key, value and mask: ", shapes));
  }

  float scale_ = 1;
  std::vector<bool> heads_first_, broadcasts_;
};

REGISTER_KERNEL_BUILDER(Name(kAttentionOp).Device(tf::DEVICE_CPU), AttentionOp);

}  // namespace

tf::NodeDef AttentionNode(const AttentionSpec& spec) {
  tf::NodeDef node;
  node.set_op(kAttentionOp);
  for (const std::string* input : {&spec.query, &spec.key, &spec.value}) node.add_input(*input);
  if (!spec.mask.empty()) node.add_input(spec.mask);
  auto& attributes = *node.mutable_attr();
  attributes["num_masks"].set_i(spec.mask.empty() ? 0 : 1);
  attributes["scale"].set_f(spec.scale);
  for (const bool first : spec.heads_first) attributes["heads_first"].mutable_list()->add_b(first);
  for (const bool broadcast : spec.broadcasts) attributes["broadcasts"].mutable_list()->add_b(broadcast);
  return node;
}

}  // namespace savedmodel::engine
