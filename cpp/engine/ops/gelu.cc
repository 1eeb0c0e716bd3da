// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/gelu.h"

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

REGISTER_OP(kGeluOp)
    .Input("x: float")
    .Output("y: float")
    .Attr("approximate: bool")
    .SetShapeFn(tf::shape_inference::UnchangedShape);

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

REGISTER_KERNEL_BUILDER(Name(kGeluOp).Device(tf::DEVICE_CPU), GeluOp);

}  // namespace

tf::NodeDef GeluNode(const std::string& x, bool approximate) {
  tf::NodeDef node;
  node.set_op(kGeluOp);
  node.add_input(x);
  (*node.mutable_attr())["approximate"].set_b(approximate);
  return node;
}

}  // namespace savedmodel::engine
