// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/softmax.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/ops/for_rows.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

REGISTER_OP(kSoftmaxOp)
    .Input("logits: float")
    .Output("softmax: float")
    .Attr("scale: float = 1")
    .SetShapeFn(tf::shape_inference::UnchangedShape);

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

REGISTER_KERNEL_BUILDER(Name(kSoftmaxOp).Device(tf::DEVICE_CPU), SoftmaxOp);

}  // namespace

tf::NodeDef SoftmaxNode(const std::string& logits, float scale) {
  tf::NodeDef node;
  node.set_op(kSoftmaxOp);
  node.add_input(logits);
  (*node.mutable_attr())["scale"].set_f(scale);
  return node;
}

}  // namespace savedmodel::engine
