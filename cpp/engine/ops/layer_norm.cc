// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/layer_norm.h"

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

REGISTER_OP(kLayerNormOp)
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Output("y: float")
    .Attr("epsilon: float")
    .SetShapeFn(tf::shape_inference::UnchangedShape);

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

REGISTER_KERNEL_BUILDER(Name(kLayerNormOp).Device(tf::DEVICE_CPU), LayerNormOp);

}  // namespace

tf::NodeDef LayerNormNode(const std::string& x, const std::string& gamma, const std::string& beta,
                          float epsilon) {
  tf::NodeDef node;
  node.set_op(kLayerNormOp);
  for (const std::string* input : {&x, &gamma, &beta}) node.add_input(*input);
  (*node.mutable_attr())["epsilon"].set_f(epsilon);
  return node;
}

}  // namespace savedmodel::engine
