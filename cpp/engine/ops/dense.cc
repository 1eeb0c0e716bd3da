// SPDX-License-Identifier: Apache-2.0
// _SavedmodelDense: activation(a * b + bias + summand) over the last axis of `a`, which may have any rank;
// `b` is constant and packed at the first run. A 1x1 convolution is one as well: of an image it takes the
// pixels `strides` apart. TensorFlow's kernels spend 3 us on setting up what may take 0.1 us.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/isa.h"
#include "engine/ops/attributes.h"
#include "engine/ops/from_constant.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

absl::Status InferShape(tf::shape_inference::InferenceContext* context) {
  namespace si = tf::shape_inference;
  si::ShapeHandle a, b, product;
  TF_RETURN_IF_ERROR(context->WithRankAtLeast(context->input(0), 2, &a));
  TF_RETURN_IF_ERROR(context->WithRankAtLeast(context->input(1), 2, &b));
  bool transposed = false;
  std::vector<std::int32_t> strides;
  TF_RETURN_IF_ERROR(context->GetAttr("transpose_b", &transposed));
  TF_RETURN_IF_ERROR(context->GetAttr("strides", &strides));
  TF_RETURN_IF_ERROR(context->ReplaceDim(a, -1, context->Dim(b, transposed ? 0 : -1), &product));
  for (int i = 0; i < 2; ++i) {
    if (strides[static_cast<std::size_t>(i)] == 1) continue;
    TF_RETURN_IF_ERROR(context->WithRank(a, 4, &a));
    const std::int64_t size = context->Value(context->Dim(a, i + 1));
    const auto taken = size < 0 ? context->UnknownDim()
                                : context->MakeDim(DivideUp(size, strides[static_cast<std::size_t>(i)]));
    TF_RETURN_IF_ERROR(context->ReplaceDim(product, i + 1, taken, &product));
  }
  context->set_output(0, product);
  return absl::OkStatus();
}

REGISTER_OP("_SavedmodelDense")
    .Input("a: float")
    .Input("b: float")
    .Input("bias: float")
    .Input("summand: num_summands * float")
    .Output("product: float")
    .Attr("num_summands: int >= 0 = 0")
    .Attr("transpose_b: bool = false")
    .Attr("strides: list(int) = [1, 1]")
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .Attr("bf16: bool = false")
    .SetShapeFn(InferShape);

class DenseOp : public tf::OpKernel {
 public:
  explicit DenseOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("transpose_b", &transposed_));
    OP_REQUIRES_OK(context, context->GetAttr("strides", &strides_));
    OP_REQUIRES_OK(context, ReadActivation(context, "", &activation_, &leaky_slope_));
    OP_REQUIRES_OK(context, ReadGemmKernel(context, &kernel_));
    OP_REQUIRES(context, strides_.size() == 2 && strides_[0] > 0 && strides_[1] > 0,
                absl::InvalidArgumentError("strides are two positive numbers"));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& a = context->input(0);
    const tf::Tensor& b = context->input(1);
    const tf::Tensor& bias = context->input(2);
    const bool strided = strides_[0] != 1 || strides_[1] != 1;
    OP_REQUIRES(context, a.dims() >= (strided ? 4 : 2) && b.dims() >= 2,
                absl::InvalidArgumentError(absl::StrCat("a matrix product of ", a.shape().DebugString(),
                                                        " and ", b.shape().DebugString())));
    const std::int64_t columns = b.dim_size(transposed_ ? 0 : b.dims() - 1);
    const std::int64_t depth = a.dim_size(a.dims() - 1);
    OP_REQUIRES(
        context, b.NumElements() == depth * columns && bias.NumElements() == columns,
        absl::InvalidArgumentError(absl::StrCat("Matrix size-incompatible: In[0]: ", a.shape().DebugString(),
                                                ", In[1]: ", b.shape().DebugString())));
    GemmProblem problem;
    problem.a = {static_cast<const float*>(a.data()), depth};
    tf::TensorShape shape = a.shape();
    if (strided) TakePixels(&shape, &problem.a);
    shape.set_dim(a.dims() - 1, columns);
    const bool nothing = b.dims() == 4 && ConvolvesNothing(a.shape());
    if (nothing) shape = a.shape();
    tf::Tensor* product = nullptr;
    problem.summand = nullptr;
    if (context->num_inputs() > 3 && !nothing) {
      const tf::Tensor& summand = context->input(3);
      OP_REQUIRES(context, summand.shape() == shape,
                  absl::InvalidArgumentError(absl::StrCat("a summand of ", summand.shape().DebugString(),
                                                          " for ", shape.DebugString())));
      problem.summand = static_cast<const float*>(summand.data());
      OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({3}, 0, shape, &product));
    } else {
      OP_REQUIRES_OK(context, context->allocate_output(0, shape, &product));
    }
    if (product->NumElements() == 0) return;
    problem.rows = product->NumElements() / columns;
    problem.bias = static_cast<const float*>(bias.data());
    problem.c = static_cast<float*>(product->data());
    problem.c_step = columns;
    problem.activation = activation_;
    problem.leaky_slope = leaky_slope_;
    const Stop stop = StopOf(context);
    problem.stop = &stop;
    const auto* workers = context->device()->tensorflow_cpu_worker_threads();
    const std::shared_ptr<const PackedWeights> weights = Pack(context, b, depth, columns);
    Gemm(problem, *weights, workers == nullptr ? 1 : workers->num_threads,
         [context](std::int64_t count, double cost, const auto& work) {
           ParallelFor(context, count, cost, work);
         });
    if (TakesLong(problem, *weights)) EndIfStopped(context, stop);
  }

 private:
  // The pixels that the strides leave of an image of this shape.
  void TakePixels(tf::TensorShape* shape, GemmRows* rows) const {
    const std::int64_t height = shape->dim_size(1), width = shape->dim_size(2), pixel = rows->row_step;
    rows->image_step = height * width * pixel;
    rows->line_step = strides_[0] * width * pixel;
    rows->row_step = strides_[1] * pixel;
    rows->lines_per_image = DivideUp(height, strides_[0]);
    rows->rows_per_line = DivideUp(width, strides_[1]);
    shape->set_dim(1, rows->lines_per_image);
    shape->set_dim(2, rows->rows_per_line);
  }

  std::shared_ptr<const PackedWeights> Pack(tf::OpKernelContext* context, const tf::Tensor& b,
                                            std::int64_t depth, std::int64_t columns) {
    return packed_.Get(b, LayoutOf(*kernel_, transposed_, depth, columns), [&] {
      return std::make_shared<const PackedWeights>(
          *kernel_, static_cast<const float*>(b.data()), transposed_, depth, columns,
          [context](std::int64_t count, double cost, const auto& work) {
            PackFor(context, count, cost, work);
          });
    });
  }

  const GemmKernel* kernel_ = nullptr;
  Activation activation_ = Activation::kNone;
  float leaky_slope_ = 0;
  bool transposed_ = false;
  std::vector<std::int32_t> strides_;
  FromConstant<PackedWeights> packed_;
};

REGISTER_KERNEL_BUILDER(Name("_SavedmodelDense").Device(tf::DEVICE_CPU), DenseOp);

}  // namespace
}  // namespace savedmodel::engine
