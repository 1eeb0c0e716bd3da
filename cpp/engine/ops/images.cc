// SPDX-License-Identifier: Apache-2.0
// _SavedmodelSpatialMean and _SavedmodelScaleChannels: float32 images, NHWC.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/kernels/image_kernels.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace si = tensorflow::shape_inference;
namespace {

using Index = std::int64_t;

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
    const Index blocks = std::clamp<Index>(DivideUp(pixels, kLeastPixels), 1, kMostBlocks);
    tf::Tensor sums;
    if (blocks > 1)
      OP_REQUIRES_OK(context, context->allocate_temp(tf::DT_FLOAT, {images * blocks, channels}, &sums));
    // By rows, as layers before and behind: of channels each thread would fetch a part of every row from
    // others.
    float* const block_sums = blocks > 1 ? static_cast<float*>(sums.data()) : to;
    const double cost = static_cast<double>(pixels * channels / blocks) * kReadAndWriteNs;
    ParallelFor(context, images * blocks, cost, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const Index first = pixels * (i % blocks) / blocks, last = pixels * (i % blocks + 1) / blocks;
        kernels_.sum_rows(from + (i / blocks * pixels + first) * channels, last - first, channels, channels,
                          blocks > 1 ? 1.0F : scale, block_sums + i * channels);
      }
    });
    if (blocks == 1) return;
    const double sum_cost = static_cast<double>(blocks * channels) * kReadAndWriteNs;
    ParallelFor(context, images, sum_cost, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        kernels_.sum_rows(block_sums + i * blocks * channels, blocks, channels, channels, scale,
                          to + i * channels);
      }
    });
  }

 private:
  static constexpr Index kLeastPixels = 64, kMostBlocks = 16;
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
        kernels_.combine(Arithmetic::kMultiply, from + i * x_step + first * channels, last - first, channels,
                         by + i * factor_step, to + (i * pixels + first) * channels);
      }
    });
  }

 private:
  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
};

REGISTER_KERNEL_BUILDER(Name("_SavedmodelSpatialMean").Device(tf::DEVICE_CPU), SpatialMeanOp);
REGISTER_KERNEL_BUILDER(Name("_SavedmodelScaleChannels").Device(tf::DEVICE_CPU), ScaleChannelsOp);

}  // namespace
}  // namespace savedmodel::engine
