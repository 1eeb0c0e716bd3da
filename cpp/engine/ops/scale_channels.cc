// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/scale_channels.h"

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

REGISTER_OP(kScaleChannelsOp)
    .Input("x: float")
    .Input("factors: float")
    .Output("y: float")
    .SetShapeFn(si::BroadcastBinaryOpShapeFn);

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
    const Index x_stride = x.dim_size(0) == 1 ? 0 : pixels * channels;
    const Index factor_stride = factors.dim_size(0) == 1 ? 0 : channels;
    const auto* from = static_cast<const float*>(x.data());
    const auto* by = static_cast<const float*>(factors.data());
    auto* to = static_cast<float*>(output->data());
    const double cost = static_cast<double>(channels) * kReadAndWriteNs;
    ParallelFor(context, images * pixels, cost, [&](Index begin, Index end) {
      for (Index i = begin / pixels; i * pixels < end; ++i) {
        const Index first = std::max(begin - i * pixels, Index{0});
        const Index last = std::min(end - i * pixels, pixels);
        kernels_.combine(Arithmetic::kMultiply, from + i * x_stride + first * channels, last - first,
                         channels, by + i * factor_stride, to + (i * pixels + first) * channels);
      }
    });
  }

 private:
  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
};

REGISTER_KERNEL_BUILDER(Name(kScaleChannelsOp).Device(tf::DEVICE_CPU), ScaleChannelsOp);

}  // namespace

tf::NodeDef ScaleChannelsNode(const std::string& x, const std::string& factors) {
  tf::NodeDef node;
  node.set_op(kScaleChannelsOp);
  node.add_input(x);
  node.add_input(factors);
  return node;
}

}  // namespace savedmodel::engine
