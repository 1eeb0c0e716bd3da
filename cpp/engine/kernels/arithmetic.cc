// SPDX-License-Identifier: Apache-2.0
// _SavedmodelArithmetic: sums, differences, products and quotients of float32 rows with one constant after
// the other, each step rounded as TensorFlow's own op rounds it, and an activation.
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kernels/attributes.h"
#include "engine/kernels/image_kernels.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Index = std::int64_t;

constexpr Index kFloatsAtOnce = 2048;  // stay in the first-level cache from step to step
// Narrower rows are taken several at a time, so that they fill vectors of up to 16 lanes.
constexpr Index kNarrow = 64;
constexpr Index kRowsOfNarrow = 16;
constexpr double kStepNs = 0.02;

// `constants` are scalars, or have a value for each index of the last axis of x.
REGISTER_OP("_SavedmodelArithmetic")
    .Input("x: float")
    .Input("constants: num_steps * float")
    .Output("y: float")
    .Attr("num_steps: int >= 1")
    .Attr("steps: list({'Add', 'Sub', 'SubFrom', 'Mul', 'RealDiv'})")
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .SetShapeFn(tf::shape_inference::UnchangedShape);

Arithmetic Parse(const std::string& step) {
  if (step == "Sub") return Arithmetic::kSubtract;
  if (step == "SubFrom") return Arithmetic::kSubtractFrom;
  if (step == "Mul") return Arithmetic::kMultiply;
  return step == "RealDiv" ? Arithmetic::kDivide : Arithmetic::kAdd;
}

// A constant as wide as the rows that are taken at once.
class Values {
 public:
  Values(const tf::Tensor& constant, Index columns, Index rows)
      : data_(static_cast<const float*>(constant.data())) {
    const Index count = constant.NumElements();
    if (rows == 1 && count == columns) return;
    room_.resize(static_cast<std::size_t>(rows * columns));
    for (Index i = 0; i < rows * columns; i += count) std::copy_n(data_, count, room_.data() + i);
    data_ = room_.data();
  }
  const float* data() const { return data_; }

 private:
  const float* data_;
  std::vector<float> room_;
};

class ArithmeticOp : public tf::OpKernel {
 public:
  explicit ArithmeticOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::vector<std::string> steps;
    OP_REQUIRES_OK(context, context->GetAttr("steps", &steps));
    OP_REQUIRES(context, static_cast<int>(steps.size()) + 1 == context->num_inputs(),
                absl::InvalidArgumentError("each step has a constant"));
    std::transform(steps.begin(), steps.end(), std::back_inserter(steps_), Parse);
    OP_REQUIRES_OK(context, ReadActivation(context, "", &activation_, &leaky_slope_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    OP_REQUIRES(context, x.dims() > 0,
                absl::InvalidArgumentError(absl::StrCat("not rows: ", x.shape().DebugString())));
    const Index columns = x.dim_size(x.dims() - 1);
    for (int i = 1; i < context->num_inputs(); ++i) {
      const Index count = context->input(i).NumElements();
      OP_REQUIRES(context, count == 1 || count == columns,
                  absl::InvalidArgumentError(absl::StrCat("Incompatible shapes: ", x.shape().DebugString(),
                                                          " vs. ", context->input(i).shape().DebugString())));
    }
    tf::Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, x.shape(), &y));
    if (x.NumElements() == 0) return;
    const Index at_once = columns < kNarrow ? kRowsOfNarrow : 1;
    std::vector<Values> values;
    values.reserve(steps_.size());
    for (int i = 1; i < context->num_inputs(); ++i) values.emplace_back(context->input(i), columns, at_once);
    const auto* from = static_cast<const float*>(x.data());
    auto* to = static_cast<float*>(y->data());
    const double steps = static_cast<double>(steps_.size()) + (activation_ == Activation::kNone ? 0 : 1);
    const double cost = static_cast<double>(columns) * (kReadAndWriteNs + kStepNs * steps);
    const Index block = std::max(kFloatsAtOnce / (columns * at_once), Index{1}) * at_once;
    ParallelFor(context, x.NumElements() / columns, cost, [&](Index begin, Index end) {
      for (Index row = begin; row < end; row += block) {
        Run(from + row * columns, std::min(block, end - row), columns, at_once, values, to + row * columns);
      }
    });
  }

 private:
  void Run(const float* x, Index rows, Index columns, Index at_once, const std::vector<Values>& values,
           float* y) const {
    const Index whole = rows / at_once, rest = rows % at_once * columns, width = at_once * columns;
    for (std::size_t i = 0; i < steps_.size(); ++i, x = y) {
      kernels_.combine(steps_[i], x, whole, width, values[i].data(), y);
      if (rest > 0)
        kernels_.combine(steps_[i], x + whole * width, 1, rest, values[i].data(), y + whole * width);
    }
    if (activation_ != Activation::kNone) kernels_.activate(activation_, leaky_slope_, y, rows * columns, y);
  }

  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
  std::vector<Arithmetic> steps_;
  Activation activation_ = Activation::kNone;
  float leaky_slope_ = 0;
};

REGISTER_KERNEL_BUILDER(Name("_SavedmodelArithmetic").Device(tf::DEVICE_CPU), ArithmeticOp);

}  // namespace
}  // namespace savedmodel::engine
