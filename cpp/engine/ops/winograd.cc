// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/winograd.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/base/packs_input.h"
#include "engine/graph/attributes.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/winograd.h"
#include "engine/ops/attributes.h"
#include "engine/ops/constant_cache.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/padding.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Index = std::int64_t;

REGISTER_OP(kWinogradOp)
    .Input("input: float")
    .Input("filter: float")
    .Input("bias: float")
    .Input("addend: num_addends * float")
    .Output("output: float")
    .Attr("num_addends: int >= 0 = 0")
    .Attr("strides: list(int) = [1, 1, 1, 1]")
    .Attr(tf::GetPaddingAttrStringWithExplicit())
    .Attr(tf::GetExplicitPaddingsAttrString())
    .Attr("data_format: {'NHWC'} = 'NHWC'")
    .Attr("dilations: list(int) = [1, 1, 1, 1]")
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .Attr("precision: string = ''")
    .SetShapeFn(tf::shape_inference::Conv2DShapeWithExplicitPadding);

class WinogradOp : public tf::OpKernel, public PacksInput {
 public:
  explicit WinogradOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, padding_.Read(context));
    OP_REQUIRES_OK(context, ReadActivation(context, "", &activation_, &alpha_));
    OP_REQUIRES_OK(context, ReadGemmKernel(context, &kernel_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    const tf::Tensor& filter = context->input(1);
    const tf::Tensor& bias = context->input(2);
    OP_REQUIRES(context,
                x.dims() == 4 && filter.dims() == 4 && filter.dim_size(0) == 3 && filter.dim_size(1) == 3 &&
                    filter.dim_size(2) == x.dim_size(3) && bias.NumElements() == filter.dim_size(3),
                absl::InvalidArgumentError(absl::StrCat("a 3x3 convolution of ", x.shape().DebugString(),
                                                        " with ", filter.shape().DebugString())));
    WinogradProblem problem{};
    WinogradImages& images = problem.images;
    problem.count = x.dim_size(0);
    images.height = x.dim_size(1);
    images.width = x.dim_size(2);
    images.channels = x.dim_size(3);
    images.results = filter.dim_size(3);
    OP_REQUIRES_OK(context, padding_.Windows(1, images.height, 3, 1, &images.out_height, &images.pad_top));
    OP_REQUIRES_OK(context, padding_.Windows(2, images.width, 3, 1, &images.out_width, &images.pad_left));
    tf::TensorShape shape({problem.count, images.out_height, images.out_width, images.results});
    const tf::TensorShape padded = padding_.Padded(x.shape());
    const bool nothing = ConvolvesNothing(padded);
    if (nothing) shape = padded;
    tf::Tensor* output = nullptr;
    const int addend = context->num_inputs() > 3 && !nothing ? 3 : -1;
    OP_REQUIRES_OK(context, AllocateOutput(context, addend, shape, &images.addend, &output));
    if (output->NumElements() == 0) return;
    images.x = static_cast<const float*>(x.data());
    images.bias = static_cast<const float*>(bias.data());
    images.y = static_cast<float*>(output->data());
    images.activation = activation_;
    images.alpha = alpha_;
    const int threads = UsableThreads(context);
    const Stop stop = StopOf(context);
    problem.stop = &stop;
    tf::Tensor room;
    OP_REQUIRES_OK(context,
                   context->allocate_temp(tf::DT_FLOAT,
                                          tf::TensorShape({WinogradWorkspaceSize(problem, threads)}), &room));
    Winograd(problem, *Transform(context, filter), isa_, static_cast<float*>(room.data()), threads,
             ParallelLoop{context});
    EndIfStopped(context, stop);
  }

  bool HasPacked(int input) const override { return input == 1 && weights_.is_made(); }

 private:
  std::shared_ptr<const WinogradWeights> Transform(tf::OpKernelContext* context, const tf::Tensor& filter) {
    return weights_.Get(filter, LayoutOf(*kernel_, false, filter.dim_size(2), filter.dim_size(3)), [&] {
      return std::make_shared<const WinogradWeights>(*kernel_, static_cast<const float*>(filter.data()),
                                                     filter.dim_size(2), filter.dim_size(3),
                                                     PackingLoop{context});
    });
  }

  const Isa isa_ = BestIsa();
  const GemmKernel* kernel_ = nullptr;
  ImagePadding padding_;
  Activation activation_ = Activation::kNone;
  float alpha_ = 0;
  ConstantCache<WinogradWeights> weights_;
};

REGISTER_KERNEL_BUILDER(Name(kWinogradOp).Device(tf::DEVICE_CPU), WinogradOp);

}  // namespace

tf::NodeDef WinogradNode(const tf::NodeDef& convolution, const Epilogue& epilogue) {
  tf::NodeDef node;
  node.set_op(kWinogradOp);
  for (int i = 0; i < 2; ++i) node.add_input(convolution.input(i));
  CopyAttrs(convolution, {"padding", "explicit_paddings"}, &node);
  AddEpilogue(epilogue, true, &node);
  return node;
}

}  // namespace savedmodel::engine
