// SPDX-License-Identifier: Apache-2.0
// _SavedmodelDepthwise, _SavedmodelSpatialMean and _SavedmodelScaleChannels: float32 images, NHWC.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kernels/activation.h"
#include "engine/kernels/image_kernels.h"
#include "engine/kernels/isa.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/kernel_shape_util.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/padding.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace si = tensorflow::shape_inference;
namespace {

using Index = std::int64_t;

constexpr double kReadAndWriteNs = 0.08;  // a float, from and to beyond the second-level cache

absl::Status MeanShape(si::InferenceContext* context) {
  si::ShapeHandle x, y;
  bool keep_dims = false;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &x));
  TF_RETURN_IF_ERROR(context->GetAttr("keep_dims", &keep_dims));
  if (keep_dims) {
    y = context->MakeShape(
        {context->Dim(x, 0), context->MakeDim(1), context->MakeDim(1), context->Dim(x, 3)});
  } else {
    y = context->MakeShape({context->Dim(x, 0), context->Dim(x, 3)});
  }
  context->set_output(0, y);
  return absl::OkStatus();
}

REGISTER_OP("_SavedmodelDepthwise")
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
    .SetShapeFn(si::DepthwiseConv2DNativeShapeWithExplicitPadding);

REGISTER_OP("_SavedmodelSpatialMean")
    .Input("x: float")
    .Output("y: float")
    .Attr("keep_dims: bool")
    .SetShapeFn(MeanShape);

REGISTER_OP("_SavedmodelScaleChannels")
    .Input("x: float")
    .Input("factors: float")
    .Output("y: float")
    .SetShapeFn(si::BroadcastBinaryOpShapeFn);

class DepthwiseOp : public tf::OpKernel {
 public:
  explicit DepthwiseOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::string activation;
    std::vector<std::int32_t> strides;
    OP_REQUIRES_OK(context, context->GetAttr("strides", &strides));
    OP_REQUIRES_OK(context, context->GetAttr("padding", &padding_));
    OP_REQUIRES_OK(context, context->GetAttr("explicit_paddings", &paddings_));
    OP_REQUIRES_OK(context, context->GetAttr("activation", &activation));
    OP_REQUIRES_OK(context, context->GetAttr("leakyrelu_alpha", &leaky_slope_));
    OP_REQUIRES_OK(context, tf::CheckValidPadding(padding_, paddings_, 4, tf::FORMAT_NHWC));
    OP_REQUIRES(context, strides.size() == 4 && strides[1] > 0 && strides[2] > 0,
                absl::InvalidArgumentError("strides are four positive numbers"));
    OP_REQUIRES(context, ParseActivation(activation, &activation_),
                absl::InvalidArgumentError(absl::StrCat("no such activation: ", activation)));
    stride_height_ = strides[1];
    stride_width_ = strides[2];
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    const tf::Tensor& filter = context->input(1);
    const tf::Tensor& bias = context->input(2);
    OP_REQUIRES(
        context,
        x.dims() == 4 && filter.dims() == 4 && filter.dim_size(2) == x.dim_size(3) &&
            filter.dim_size(3) == 1 && bias.NumElements() == x.dim_size(3),
        absl::InvalidArgumentError(absl::StrCat("a depthwise convolution of ", x.shape().DebugString(),
                                                " with ", filter.shape().DebugString())));
    DepthwiseImage image{};
    image.height = x.dim_size(1);
    image.width = x.dim_size(2);
    image.channels = x.dim_size(3);
    image.window_height = filter.dim_size(0);
    image.window_width = filter.dim_size(1);
    image.stride_height = stride_height_;
    image.stride_width = stride_width_;
    Index out_height = 0, after = 0;
    Before(1, &image.pad_top, &after);
    OP_REQUIRES_OK(context,
                   tf::GetWindowedOutputSizeVerbose(image.height, image.window_height, 1, stride_height_,
                                                    padding_, &out_height, &image.pad_top, &after));
    Before(2, &image.pad_left, &after);
    OP_REQUIRES_OK(
        context, tf::GetWindowedOutputSizeVerbose(image.width, image.window_width, 1, stride_width_, padding_,
                                                  &image.out_width, &image.pad_left, &after));
    tf::Tensor* output = nullptr;
    const tf::TensorShape shape({x.dim_size(0), out_height, image.out_width, image.channels});
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    if (output->NumElements() == 0) return;
    image.weights = static_cast<const float*>(filter.data());
    image.bias = static_cast<const float*>(bias.data());
    image.activation = activation_;
    image.leaky_slope = leaky_slope_;
    const Index row = image.out_width * image.channels;
    const double taps = static_cast<double>(image.window_height * image.window_width);
    const double cost = static_cast<double>(row) * std::max(taps * 0.02, kReadAndWriteNs);
    const Index in_image = image.height * image.width * image.channels;
    ParallelFor(context, shape.dim_size(0) * out_height, cost, [&](Index begin, Index end) {
      DepthwiseImage part = image;
      for (Index i = begin / out_height; i * out_height < end; ++i) {
        part.x = static_cast<const float*>(x.data()) + i * in_image;
        part.y = static_cast<float*>(output->data()) + i * out_height * row;
        const Index first = i * out_height;
        kernels_.depthwise(part, std::max(begin - first, Index{0}), std::min(end - first, out_height));
      }
    });
  }

 private:
  // Explicit padding of an axis; the others are computed.
  void Before(std::size_t axis, Index* before, Index* after) const {
    if (padding_ != tf::EXPLICIT) return;
    *before = paddings_[2 * axis];
    *after = paddings_[2 * axis + 1];
  }

  const ImageKernels& kernels_ = ImageKernelsOf(BestIsa());
  Index stride_height_ = 1, stride_width_ = 1;
  tf::Padding padding_ = tf::VALID;
  std::vector<std::int64_t> paddings_;
  Activation activation_ = Activation::kNone;
  float leaky_slope_ = 0;
};

class SpatialMeanOp : public tf::OpKernel {
 public:
  explicit SpatialMeanOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("keep_dims", &keep_dims_));
  }
  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    OP_REQUIRES(context, x.dims() == 4,
                absl::InvalidArgumentError(absl::StrCat("not an image: ", x.shape().DebugString())));
    const Index images = x.dim_size(0), pixels = x.dim_size(1) * x.dim_size(2), channels = x.dim_size(3);
    tf::Tensor* output = nullptr;
    const tf::TensorShape shape =
        keep_dims_ ? tf::TensorShape({images, 1, 1, channels}) : tf::TensorShape({images, channels});
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    if (output->NumElements() == 0) return;
    const auto* from = static_cast<const float*>(x.data());
    auto* to = static_cast<float*>(output->data());
    // The mean of nothing is not a number.
    const float scale = 1.0F / static_cast<float>(pixels);
    const Index strips = (channels + kStrip - 1) / kStrip;
    const double cost = static_cast<double>(pixels * kStrip) * kReadAndWriteNs / 2;
    ParallelFor(context, images * strips, cost, [&](Index begin, Index end) {
      for (Index i = begin; i < end;) {
        const Index image = i / strips, first = i % strips;
        const Index last = std::min(strips, first + end - i);
        const Index columns = std::min(last * kStrip, channels) - first * kStrip;
        kernels_.sum_rows(from + image * pixels * channels + first * kStrip, pixels, channels, columns, scale,
                          to + image * channels + first * kStrip);
        i += last - first;
      }
    });
  }

 private:
  static constexpr Index kStrip = 64;  // channels
  const ImageKernels& kernels_ = ImageKernelsOf(BestIsa());
  bool keep_dims_ = false;
};

class ScaleChannelsOp : public tf::OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    const tf::Tensor& factors = context->input(1);
    OP_REQUIRES(context,
                x.dims() == 4 && factors.dims() == 4 && factors.dim_size(1) * factors.dim_size(2) == 1 &&
                    factors.dim_size(3) == x.dim_size(3) &&
                    (x.dim_size(0) == factors.dim_size(0) || x.dim_size(0) == 1 || factors.dim_size(0) == 1),
                absl::InvalidArgumentError(absl::StrCat("Incompatible shapes: ", x.shape().DebugString(),
                                                        " vs. ", factors.shape().DebugString())));
    tf::TensorShape shape = x.shape();
    if (x.dim_size(0) == 1) shape.set_dim(0, factors.dim_size(0));
    tf::Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, shape, &output));
    if (output->NumElements() == 0) return;
    const Index channels = x.dim_size(3), pixels = x.dim_size(1) * x.dim_size(2), images = shape.dim_size(0);
    const Index x_step = x.dim_size(0) == 1 ? 0 : pixels * channels;
    const Index factor_step = factors.dim_size(0) == 1 ? 0 : channels;
    const auto* from = static_cast<const float*>(x.data());
    const auto* by = static_cast<const float*>(factors.data());
    auto* to = static_cast<float*>(output->data());
    const double cost = static_cast<double>(channels) * kReadAndWriteNs;
    ParallelFor(context, images * pixels, cost, [&](Index begin, Index end) {
      for (Index i = begin / pixels; i * pixels < end; ++i) {
        const Index first = std::max(begin - i * pixels, Index{0});
        const Index last = std::min(end - i * pixels, pixels);
        kernels_.scale_rows(from + i * x_step + first * channels, last - first, channels,
                            by + i * factor_step, to + (i * pixels + first) * channels);
      }
    });
  }

 private:
  const ImageKernels& kernels_ = ImageKernelsOf(BestIsa());
};

REGISTER_KERNEL_BUILDER(Name("_SavedmodelDepthwise").Device(tf::DEVICE_CPU), DepthwiseOp);
REGISTER_KERNEL_BUILDER(Name("_SavedmodelSpatialMean").Device(tf::DEVICE_CPU), SpatialMeanOp);
REGISTER_KERNEL_BUILDER(Name("_SavedmodelScaleChannels").Device(tf::DEVICE_CPU), ScaleChannelsOp);

}  // namespace
}  // namespace savedmodel::engine
