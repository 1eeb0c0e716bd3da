// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/arithmetic.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/fixed_array.h"
#include "absl/strings/str_cat.h"
#include "engine/kernels/image_kernels.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/ops/attributes.h"
#include "engine/ops/constant_cache.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Index = std::int64_t;

constexpr Index kFloatsAtOnce = 2048;  // stay in the first-level cache from step to step
// Narrower rows are taken several at a time, a multiple of what fills vectors of up to 16 lanes.
constexpr Index kNarrow = 64;
constexpr Index kMaxLanes = 16;
constexpr double kStepNs = 0.02;

// `constants` are scalars, or have a value for each index of the last axis of x.
REGISTER_OP(kArithmeticOp)
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

// Rows that are taken at once.
Index RowsAtOnce(Index columns) {
  return columns < kNarrow ? DivideUp(kNarrow, columns * kMaxLanes) * kMaxLanes : 1;
}

// A constant's values, as many as are taken at once.
class Values {
 public:
  explicit Values(const tf::Tensor& constant)
      : constant_(constant), data_(static_cast<const float*>(constant.data())) {
    const Index columns = constant.NumElements();
    is_scalar_ = columns == 1;
    const Index copies = is_scalar_ ? kFloatsAtOnce : RowsAtOnce(columns);
    if (copies == 1) return;
    room_.resize(static_cast<std::size_t>(copies * columns));
    for (Index i = 0; i < copies; ++i) std::copy_n(data_, columns, room_.data() + i * columns);
    data_ = room_.data();
  }
  std::size_t bytes() const { return room_.size() * sizeof(float); }
  const float* From(Index column) const { return is_scalar_ ? data_ : data_ + column; }

 private:
  const tf::Tensor constant_;
  const float* data_;
  bool is_scalar_;
  std::vector<float> room_;
};

using AllValues = absl::FixedArray<std::shared_ptr<const Values>, 8>;

class ArithmeticOp : public tf::OpKernel {
 public:
  explicit ArithmeticOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::vector<std::string> steps;
    OP_REQUIRES_OK(context, context->GetAttr("steps", &steps));
    OP_REQUIRES(context, static_cast<int>(steps.size()) + 1 == context->num_inputs(),
                absl::InvalidArgumentError("each step has a constant"));
    std::transform(steps.begin(), steps.end(), std::back_inserter(steps_), Parse);
    values_ = std::vector<ConstantCache<Values>>(steps_.size());
    OP_REQUIRES_OK(context, ReadActivation(context, "", &activation_, &alpha_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    OP_REQUIRES(context, x.dims() > 0,
                absl::InvalidArgumentError(absl::StrCat("not rows: ", x.shape().DebugString())));
    Index columns = x.dim_size(x.dims() - 1);
    bool scalars = true;
    for (int i = 1; i < context->num_inputs(); ++i) {
      const Index count = context->input(i).NumElements();
      scalars = scalars && count == 1;
      OP_REQUIRES(context, count == 1 || count == columns,
                  absl::InvalidArgumentError(absl::StrCat("Incompatible shapes: ", x.shape().DebugString(),
                                                          " vs. ", context->input(i).shape().DebugString())));
    }
    tf::Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, x.shape(), &y));
    if (x.NumElements() == 0) return;
    if (scalars) columns = 1;
    const Index rows = x.NumElements() / columns;
    const Index at_once = RowsAtOnce(columns);
    AllValues values(steps_.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const tf::Tensor& constant = context->input(static_cast<int>(i) + 1);
      values[i] = values_[i].Get(constant, {constant.NumElements()},
                                 [&] { return std::make_shared<const Values>(constant); });
    }
    const auto* from = static_cast<const float*>(x.data());
    auto* to = static_cast<float*>(y->data());
    const double steps = static_cast<double>(steps_.size()) + (activation_ == Activation::kNone ? 0 : 1);
    const double cost = kReadAndWriteNs + kStepNs * steps;  // of a float
    // Blocks of whole rows, or of some columns of one.
    const Index width = std::min(columns, kFloatsAtOnce), blocks = DivideUp(columns, width);
    const Index block = std::max(kFloatsAtOnce / (width * at_once), Index{1}) * at_once;
    ParallelFor(context, rows * blocks, cost * static_cast<double>(width), [&](Index begin, Index end) {
      for (Index i = begin; i < end;) {
        const Index row = i / blocks, column = i % blocks * width;
        const Index count = blocks == 1 ? std::min(block, end - i) : 1;
        const Index at = row * columns + column;
        Run(from + at, count, std::min(width, columns - column), at_once, column, values, to + at);
        i += count;
      }
    });
  }

 private:
  // Rows that lie side by side, or columns of one from `column` on.
  void Run(const float* x, Index rows, Index columns, Index at_once, Index column, const AllValues& values,
           float* y) const {
    const Index whole = rows / at_once, rest = rows % at_once * columns, width = at_once * columns;
    for (std::size_t i = 0; i < steps_.size(); ++i, x = y) {
      const float* const constant = values[i]->From(column);
      kernels_.combine(steps_[i], x, whole, width, constant, y);
      if (rest > 0) kernels_.combine(steps_[i], x + whole * width, 1, rest, constant, y + whole * width);
    }
    if (activation_ != Activation::kNone) kernels_.activate(activation_, alpha_, y, rows * columns, y);
  }

  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
  std::vector<Arithmetic> steps_;
  std::vector<ConstantCache<Values>> values_;
  Activation activation_ = Activation::kNone;
  float alpha_ = 0;
};

REGISTER_KERNEL_BUILDER(Name(kArithmeticOp).Device(tf::DEVICE_CPU), ArithmeticOp);

}  // namespace

tf::NodeDef ArithmeticNode(const std::string& x, const std::vector<ArithmeticStep>& steps,
                           const std::string& activation, float alpha) {
  tf::NodeDef node;
  node.set_op(kArithmeticOp);
  node.add_input(x);
  auto& attributes = *node.mutable_attr();
  attributes["num_steps"].set_i(static_cast<std::int64_t>(steps.size()));
  for (const ArithmeticStep& step : steps) {
    node.add_input(step.constant);
    attributes["steps"].mutable_list()->add_s(step.kind);
  }
  attributes["activation"].set_s(activation);
  attributes["leakyrelu_alpha"].set_f(alpha);
  return node;
}

}  // namespace savedmodel::engine
