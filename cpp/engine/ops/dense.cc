// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/dense.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/packs_input.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/isa.h"
#include "engine/ops/attributes.h"
#include "engine/ops/constant_cache.h"
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

REGISTER_OP(kDenseOp)
    .Input("a: float")
    .Input("b: float")
    .Input("bias: float")
    .Input("addend: num_addends * float")
    .Output("product: float")
    .Attr("num_addends: int >= 0 = 0")
    .Attr("transpose_b: bool = false")
    .Attr("strides: list(int) = [1, 1]")
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .Attr("precision: string = ''")
    .SetShapeFn(InferShape);

class DenseOp : public tf::OpKernel, public PacksInput {
 public:
  explicit DenseOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("transpose_b", &transposed_));
    OP_REQUIRES_OK(context, context->GetAttr("strides", &strides_));
    OP_REQUIRES_OK(context, ReadActivation(context, "", &activation_, &alpha_));
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
    problem.addend = nullptr;
    const int addend = context->num_inputs() > 3 && !nothing ? 3 : -1;
    OP_REQUIRES_OK(context, AllocateOutput(context, addend, shape, &problem.addend, &product));
    if (product->NumElements() == 0) return;
    problem.rows = product->NumElements() / columns;
    problem.bias = static_cast<const float*>(bias.data());
    problem.c = static_cast<float*>(product->data());
    problem.c_stride = columns;
    problem.activation = activation_;
    problem.alpha = alpha_;
    const Stop stop = StopOf(context);
    problem.stop = &stop;
    const std::shared_ptr<const PackedWeights> weights = Pack(context, b, depth, columns);
    Gemm(problem, *weights, UsableThreads(context), ParallelLoop{context});
    if (TakesLong(problem, *weights)) EndIfStopped(context, stop);
  }

  bool HasPacked(int input) const override { return input == 1 && packed_.is_made(); }

 private:
  // The pixels that the strides leave of an image of this shape.
  void TakePixels(tf::TensorShape* shape, GemmRows* rows) const {
    const std::int64_t height = shape->dim_size(1), width = shape->dim_size(2), pixel = rows->row_stride;
    rows->image_stride = height * width * pixel;
    rows->line_stride = strides_[0] * width * pixel;
    rows->row_stride = strides_[1] * pixel;
    rows->lines_per_image = DivideUp(height, strides_[0]);
    rows->rows_per_line = DivideUp(width, strides_[1]);
    shape->set_dim(1, rows->lines_per_image);
    shape->set_dim(2, rows->rows_per_line);
  }

  std::shared_ptr<const PackedWeights> Pack(tf::OpKernelContext* context, const tf::Tensor& b,
                                            std::int64_t depth, std::int64_t columns) {
    return packed_.Get(b, LayoutOf(*kernel_, transposed_, depth, columns), [&] {
      return std::make_shared<const PackedWeights>(*kernel_, static_cast<const float*>(b.data()), transposed_,
                                                   depth, columns, PackingLoop{context});
    });
  }

  const GemmKernel* kernel_ = nullptr;
  Activation activation_ = Activation::kNone;
  float alpha_ = 0;
  bool transposed_ = false;
  std::vector<std::int32_t> strides_;
  ConstantCache<PackedWeights> packed_;
};

REGISTER_KERNEL_BUILDER(Name(kDenseOp).Device(tf::DEVICE_CPU), DenseOp);

}  // namespace

tf::NodeDef DenseNode(const std::string& a, const std::string& b, bool transpose_b,
                      const std::array<std::int64_t, 2>& strides, const Epilogue& epilogue) {
  tf::NodeDef node;
  node.set_op(kDenseOp);
  node.add_input(a);
  node.add_input(b);
  (*node.mutable_attr())["transpose_b"].set_b(transpose_b);
  auto* list = (*node.mutable_attr())["strides"].mutable_list();
  for (const std::int64_t stride : strides) list->add_i(stride);
  AddEpilogue(epilogue, true, &node);
  return node;
}

}  // namespace savedmodel::engine
