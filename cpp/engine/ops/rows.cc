// SPDX-License-Identifier: Apache-2.0
// _SavedmodelGelu, _SavedmodelLayerNorm and _SavedmodelSoftmax: float32, over the last axis of any rank.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

REGISTER_OP("_SavedmodelGelu")
    .Input("x: float")
    .Output("y: float")
    .Attr("approximate: bool")
    .SetShapeFn(tf::shape_inference::UnchangedShape);

REGISTER_OP("_SavedmodelLayerNorm")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Output("y: float")
    .Attr("epsilon: float")
    .SetShapeFn(tf::shape_inference::UnchangedShape);

REGISTER_OP("_SavedmodelSoftmax")
    .Input("logits: float")
    .Output("softmax: float")
    .Attr("scale: float = 1")
    .SetShapeFn(tf::shape_inference::UnchangedShape);

// work(x, rows, y), in as many threads as pay. `cost` is what an element takes, in nanoseconds.
template <typename Work>
void ForRows(tf::OpKernelContext* context, std::int64_t columns, double cost, const Work& work) {
  const tf::Tensor& input = context->input(0);
  tf::Tensor* output = nullptr;
  OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, input.shape(), &output));
  const auto* x = static_cast<const float*>(input.data());
  auto* y = static_cast<float*>(output->data());
  if (input.NumElements() == 0) return;
  const std::int64_t rows = input.NumElements() / columns;
  ParallelFor(context, rows, static_cast<double>(columns) * cost, [&](std::int64_t begin, std::int64_t end) {
    work(x + begin * columns, end - begin, y + begin * columns);
  });
}

class GeluOp : public tf::OpKernel {
 public:
  explicit GeluOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    bool approximate = false;
    OP_REQUIRES_OK(context, context->GetAttr("approximate", &approximate));
    if (approximate) activation_ = Activation::kGeluApproximate;
  }
  void Compute(tf::OpKernelContext* context) override {
    ForRows(context, 1, 0.6, [&](const float* x, std::int64_t count, float* y) {
      kernels_.activate(activation_, 0, x, count, y);
    });
  }

 private:
  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
  Activation activation_ = Activation::kGeluExact;
};

class LayerNormOp : public tf::OpKernel {
 public:
  explicit LayerNormOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("epsilon", &epsilon_));
  }
  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    const tf::Tensor& gamma = context->input(1);
    const tf::Tensor& beta = context->input(2);
    const std::int64_t columns = gamma.NumElements();
    OP_REQUIRES(context, x.dims() > 0 && x.dim_size(x.dims() - 1) == columns && beta.NumElements() == columns,
                absl::InvalidArgumentError(absl::StrCat("layer normalization of ", x.shape().DebugString(),
                                                        " with ", gamma.shape().DebugString())));
    ForRows(context, columns, 0.25, [&](const float* from, std::int64_t rows, float* to) {
      kernels_.layer_norm(from, rows, columns, static_cast<const float*>(gamma.data()),
                          static_cast<const float*>(beta.data()), epsilon_, to);
    });
  }

 private:
  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
  float epsilon_ = 0;
};

class SoftmaxOp : public tf::OpKernel {
 public:
  explicit SoftmaxOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_));
  }
  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& logits = context->input(0);
    OP_REQUIRES(context, logits.dims() > 0,
                absl::InvalidArgumentError(absl::StrCat("logits must have a dimension")));
    const std::int64_t columns = logits.dim_size(logits.dims() - 1);
    ForRows(context, columns, 0.5, [&](const float* x, std::int64_t rows, float* y) {
      kernels_.softmax(x, rows, columns, columns, scale_, y);
    });
  }

 private:
  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
  float scale_ = 1;
};

REGISTER_KERNEL_BUILDER(Name("_SavedmodelGelu").Device(tf::DEVICE_CPU), GeluOp);
REGISTER_KERNEL_BUILDER(Name("_SavedmodelLayerNorm").Device(tf::DEVICE_CPU), LayerNormOp);
REGISTER_KERNEL_BUILDER(Name("_SavedmodelSoftmax").Device(tf::DEVICE_CPU), SoftmaxOp);

}  // namespace
}  // namespace savedmodel::engine
