// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/grouped.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/packs_input.h"
#include "engine/graph/attributes.h"
#include "engine/kernels/grouped.h"
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

REGISTER_OP(kGroupedOp)
    .Input("input: float")
    .Input("filter: float")
    .Input("bias: float")
    .Input("addend: num_addends * float")
    .Output("output: float")
    .Attr("num_addends: int >= 0 = 0")
    .Attr("strides: list(int)")
    .Attr(tf::GetPaddingAttrStringWithExplicit())
    .Attr(tf::GetExplicitPaddingsAttrString())
    .Attr("data_format: {'NHWC'} = 'NHWC'")
    .Attr("dilations: list(int) = [1, 1, 1, 1]")
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .Attr("precision: string = ''")
    .SetShapeFn(tf::shape_inference::Conv2DShapeWithExplicitPadding);

absl::Status ReadSteps(tf::OpKernelConstruction* context, const char* name,
                       std::vector<std::int32_t>* steps) {
  TF_RETURN_IF_ERROR(context->GetAttr(name, steps));
  if (steps->size() == 4 && (*steps)[1] > 0 && (*steps)[2] > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " are four positive numbers"));
}

class GroupedOp : public tf::OpKernel, public PacksInput {
 public:
  explicit GroupedOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, ReadSteps(context, "strides", &strides_));
    OP_REQUIRES_OK(context, ReadSteps(context, "dilations", &dilations_));
    OP_REQUIRES_OK(context, padding_.Read(context));
    OP_REQUIRES_OK(context, ReadActivation(context, "", &activation_, &alpha_));
    OP_REQUIRES_OK(context, ReadGemmKernel(context, &kernel_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    const tf::Tensor& filter = context->input(1);
    const tf::Tensor& bias = context->input(2);
    const bool fits = x.dims() == 4 && filter.dims() == 4 && filter.NumElements() > 0 &&
                      x.dim_size(3) % filter.dim_size(2) == 0 && x.dim_size(3) > 0 &&
                      filter.dim_size(3) % (x.dim_size(3) / filter.dim_size(2)) == 0 &&
                      bias.NumElements() == filter.dim_size(3);
    OP_REQUIRES(context, fits,
                absl::InvalidArgumentError(absl::StrCat("a grouped convolution of ", x.shape().DebugString(),
                                                        " with ", filter.shape().DebugString())));
    GroupedImages images{};
    OP_REQUIRES_OK(context, Measure(x, filter, &images));
    const tf::TensorShape shape({images.count, images.out_height, images.out_width, images.results});
    tf::Tensor* output = nullptr;
    const int addend = context->num_inputs() > 3 ? 3 : -1;
    OP_REQUIRES_OK(context, AllocateOutput(context, addend, shape, &images.addend, &output));
    if (output->NumElements() == 0) return;
    images.x = static_cast<const float*>(x.data());
    images.bias = static_cast<const float*>(bias.data());
    images.y = static_cast<float*>(output->data());
    images.activation = activation_;
    images.alpha = alpha_;
    ConvolveGroups(images, *Pack(filter, images.groups), ParallelLoop{context});
  }

  bool HasPacked(int input) const override { return input == 1 && weights_.is_made(); }

 private:
  absl::Status Measure(const tf::Tensor& x, const tf::Tensor& filter, GroupedImages* images) const {
    images->count = x.dim_size(0);
    images->height = x.dim_size(1);
    images->width = x.dim_size(2);
    images->channels = x.dim_size(3);
    images->results = filter.dim_size(3);
    images->groups = x.dim_size(3) / filter.dim_size(2);
    images->window_height = filter.dim_size(0);
    images->window_width = filter.dim_size(1);
    images->stride_height = strides_[1];
    images->stride_width = strides_[2];
    images->dilation_height = dilations_[1];
    images->dilation_width = dilations_[2];
    const Index height = (images->window_height - 1) * images->dilation_height + 1;
    const Index width = (images->window_width - 1) * images->dilation_width + 1;
    TF_RETURN_IF_ERROR(padding_.Windows(1, images->height, height, images->stride_height, &images->out_height,
                                        &images->pad_top));
    return padding_.Windows(2, images->width, width, images->stride_width, &images->out_width,
                            &images->pad_left);
  }

  std::shared_ptr<const GroupedWeights> Pack(const tf::Tensor& filter, Index groups) {
    const Index window = filter.dim_size(0) * filter.dim_size(1);
    const Index channels = filter.dim_size(2), results = filter.dim_size(3);
    const ConstantLayout layout{reinterpret_cast<std::intptr_t>(kernel_), groups, window * channels, results};
    return weights_.Get(filter, layout, [&] {
      return std::make_shared<const GroupedWeights>(*kernel_, static_cast<const float*>(filter.data()),
                                                    window, channels, results, groups);
    });
  }

  const GemmKernel* kernel_ = nullptr;
  std::vector<std::int32_t> strides_, dilations_;
  ImagePadding padding_;
  Activation activation_ = Activation::kNone;
  float alpha_ = 0;
  ConstantCache<GroupedWeights> weights_;
};

REGISTER_KERNEL_BUILDER(Name(kGroupedOp).Device(tf::DEVICE_CPU), GroupedOp);

}  // namespace

tf::NodeDef GroupedNode(const tf::NodeDef& convolution, const Epilogue& epilogue) {
  tf::NodeDef node;
  node.set_op(kGroupedOp);
  for (int i = 0; i < 2; ++i) node.add_input(convolution.input(i));
  CopyAttrs(convolution, {"strides", "padding", "explicit_paddings", "dilations"}, &node);
  AddEpilogue(epilogue, true, &node);
  return node;
}

}  // namespace savedmodel::engine
