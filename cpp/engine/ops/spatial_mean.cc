// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/spatial_mean.h"

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

REGISTER_OP(kSpatialMeanOp)
    .Input("x: float")
    .Output("y: float")
    .Attr("keep_dims: bool")
    .SetShapeFn(MeanShape);

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
    const Index blocks = std::clamp<Index>(DivideUp(pixels, kMinPixels), 1, kMaxBlocks);
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
  static constexpr Index kMinPixels = 64, kMaxBlocks = 16;
  const ImageKernels& kernels_ = ImageKernelsOf(BestIsa());
  bool keep_dims_ = false;
};

REGISTER_KERNEL_BUILDER(Name(kSpatialMeanOp).Device(tf::DEVICE_CPU), SpatialMeanOp);

}  // namespace

tf::NodeDef SpatialMeanNode(const std::string& x, bool keep_dims) {
  tf::NodeDef node;
  node.set_op(kSpatialMeanOp);
  node.add_input(x);
  (*node.mutable_attr())["keep_dims"].set_b(keep_dims);
  return node;
}

}  // namespace savedmodel::engine
