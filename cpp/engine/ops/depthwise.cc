// SPDX-License-Identifier: Apache-2.0
// _SavedmodelDepthwise: float32 images, NHWC.
#include "engine/ops/depthwise.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/graph/attributes.h"
#include "engine/kernels/isa.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Index = std::int64_t;

REGISTER_OP(kDepthwiseOp)
    .Input("input: float")
    .Input("filter: float")
    .Input("bias: float")
    .Output("output: float")
    .Attr("strides: list(int)")
    .Attr(tf::GetPaddingAttrStringWithExplicit())
    .Attr(tf::GetExplicitPaddingsAttrString())
    .Attr("data_format: {'NHWC'} = 'NHWC'")
    .Attr("dilations: list(int) = [1, 1, 1, 1]")
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .SetShapeFn(tf::shape_inference::DepthwiseConv2DNativeShapeWithExplicitPadding);

class DepthwiseOp : public tf::OpKernel {
 public:
  explicit DepthwiseOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    OP_REQUIRES(context, x.dims() == 4,
                absl::InvalidArgumentError(absl::StrCat("not an image: ", x.shape().DebugString())));
    DepthwiseImage image{};
    Index out_height = 0;
    OP_REQUIRES_OK(context, attributes_.Apply(x.dim_size(1), x.dim_size(2), context->input(1),
                                              context->input(2), &image, &out_height));
    OP_REQUIRES(
        context, image.channels == x.dim_size(3),
        absl::InvalidArgumentError(absl::StrCat("a depthwise convolution of ", x.shape().DebugString(),
                                                " with ", context->input(1).shape().DebugString())));
    tf::Tensor* output = nullptr;
    tf::TensorShape shape({x.dim_size(0), out_height, image.out_width, image.channels});
    const tf::TensorShape padded = attributes_.padding().Padded(x.shape());
    if (ConvolvesNothing(padded)) shape = padded;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    if (output->NumElements() == 0) return;
    image.x = static_cast<const float*>(x.data());
    image.y = static_cast<float*>(output->data());
    DepthwiseImages(context, image, x.dim_size(0), out_height);
  }

 private:
  DepthwiseAttributes attributes_;
};

REGISTER_KERNEL_BUILDER(Name(kDepthwiseOp).Device(tf::DEVICE_CPU), DepthwiseOp);

}  // namespace

tf::NodeDef DepthwiseNode(const tf::NodeDef& convolution, const std::string& filter,
                          const Epilogue& epilogue) {
  tf::NodeDef node;
  node.set_op(kDepthwiseOp);
  node.add_input(convolution.input(0));
  node.add_input(filter);
  CopyAttrs(convolution, {"strides", "padding", "explicit_paddings"}, &node);
  AddEpilogue(epilogue, false, &node);
  return node;
}

absl::Status DepthwiseAttributes::Read(tf::OpKernelConstruction* context) {
  std::vector<std::int32_t> strides;
  TF_RETURN_IF_ERROR(context->GetAttr("strides", &strides));
  TF_RETURN_IF_ERROR(padding_.Read(context));
  if (strides.size() != 4 || strides[1] <= 0 || strides[2] <= 0)
    return absl::InvalidArgumentError("strides are four positive numbers");
  stride_height_ = strides[1];
  stride_width_ = strides[2];
  return ReadActivation(context, "", &activation_, &alpha_);
}

absl::Status DepthwiseAttributes::Apply(Index height, Index width, const tf::Tensor& filter,
                                        const tf::Tensor& bias, DepthwiseImage* image,
                                        Index* out_height) const {
  if (filter.dims() != 4 || filter.dim_size(3) != 1 || bias.NumElements() != filter.dim_size(2))
    return absl::InvalidArgumentError(absl::StrCat("a depthwise convolution with ",
                                                   filter.shape().DebugString(), " and a bias of ",
                                                   bias.shape().DebugString()));
  image->weights = static_cast<const float*>(filter.data());
  image->bias = static_cast<const float*>(bias.data());
  image->height = height;
  image->width = width;
  image->channels = filter.dim_size(2);
  image->window_height = filter.dim_size(0);
  image->window_width = filter.dim_size(1);
  image->stride_height = stride_height_;
  image->stride_width = stride_width_;
  image->activation = activation_;
  image->alpha = alpha_;
  TF_RETURN_IF_ERROR(
      padding_.Windows(1, height, image->window_height, stride_height_, out_height, &image->pad_top));
  return padding_.Windows(2, width, image->window_width, stride_width_, &image->out_width, &image->pad_left);
}

void DepthwiseImages(tf::OpKernelContext* context, const DepthwiseImage& image, Index images,
                     Index out_height) {
  const ImageKernels& kernels = ImageKernelsOf(BestIsa());
  const Index row = image.out_width * image.channels;
  const Index in_image = image.height * image.width * image.channels;
  ParallelFor(context, images * out_height, DepthwiseRowNs(image), [&](Index begin, Index end) {
    DepthwiseImage part = image;
    for (Index i = begin / out_height; i * out_height < end; ++i) {
      part.x = image.x + i * in_image;
      part.y = image.y + i * out_height * row;
      const Index first = i * out_height;
      kernels.depthwise(part, std::max(begin - first, Index{0}), std::min(end - first, out_height));
    }
  });
}

}  // namespace savedmodel::engine
