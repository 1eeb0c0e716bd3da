// SPDX-License-Identifier: Apache-2.0
// _SavedmodelDense: activation(a * b + bias), where `b` and `bias` are constants and `a` may have any rank.
// TensorFlow's fused kernels spend 3 us on a product that takes 0.1 us. So small ones are computed here, in
// the caller's thread, and the others by the kernel that TensorFlow would have used.
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/activation.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Multiplications; above, a second thread pays for what it costs to ask for one.
constexpr std::int64_t kMostOwn = std::int64_t{1} << 20;
// Above, panels of weights don't fit into the second cache, and blocking pays even in one thread.
constexpr std::int64_t kMostOwnAlone = std::int64_t{1} << 26;

absl::Status InferShape(tf::shape_inference::InferenceContext* context) {
  tf::shape_inference::ShapeHandle a;
  tf::shape_inference::ShapeHandle b;
  tf::shape_inference::ShapeHandle product;
  TF_RETURN_IF_ERROR(context->WithRankAtLeast(context->input(0), 2, &a));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(1), 2, &b));
  bool transposed = false;
  TF_RETURN_IF_ERROR(context->GetAttr("transpose_b", &transposed));
  TF_RETURN_IF_ERROR(context->ReplaceDim(a, -1, context->Dim(b, transposed ? 0 : 1), &product));
  context->set_output(0, product);
  return absl::OkStatus();
}

REGISTER_OP("_SavedmodelDense")
    .Input("a: float")
    .Input("b: float")
    .Input("bias: float")
    .Output("product: float")
    .Attr("transpose_b: bool = false")
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .SetShapeFn(InferShape);

template <typename T>
void SetAttribute(const char* name, const T& value, tf::NodeDef* node) {
  tf::SetAttrValue(value, &(*node->mutable_attr())[name]);
}

class DenseOp : public tf::OpKernel {
 public:
  explicit DenseOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::string activation;
    OP_REQUIRES_OK(context, context->GetAttr("transpose_b", &transposed_));
    OP_REQUIRES_OK(context, context->GetAttr("activation", &activation));
    OP_REQUIRES_OK(context, context->GetAttr("leakyrelu_alpha", &leaky_slope_));
    OP_REQUIRES(context, ParseActivation(activation, &activation_),
                absl::InvalidArgumentError(absl::StrCat("no such activation: ", activation)));
    const bool onednn = tf::IsMKLEnabled();
    // Without oneDNN there is no fused GELU.
    gelu_here_ =
        !onednn && (activation_ == Activation::kGeluExact || activation_ == Activation::kGeluApproximate);
    std::vector<std::string> fused = {"BiasAdd"};
    if (activation_ != Activation::kNone && !gelu_here_) fused.push_back(activation);
    tf::NodeDef node;
    node.set_name(name());
    node.set_op(onednn ? "_MklNativeFusedMatMul" : "_FusedMatMul");
    if (onednn) {
      SetAttribute("_kernel", "MklNameChangeOp", &node);
      SetAttribute("is_filter_const", true, &node);
    }
    for (const char* input : {"a", "b", "bias"}) node.add_input(input);
    SetAttribute("T", tf::DT_FLOAT, &node);
    SetAttribute("num_args", 1, &node);
    SetAttribute("transpose_b", transposed_, &node);
    SetAttribute("fused_ops", fused, &node);
    SetAttribute("leakyrelu_alpha", leaky_slope_, &node);
    const tf::OpDef* op = nullptr;
    OP_REQUIRES_OK(context, tf::OpRegistry::Global()->LookUpOpDef(node.op(), &op));
    tf::AddDefaultsToNodeDef(*op, &node);
    absl::Status status;
    fused_ = tf::CreateOpKernel(context->device_type(), context->device(),
                                context->device()->GetAllocator(tf::AllocatorAttributes()), node,
                                context->graph_def_version(), &status);
    OP_REQUIRES_OK(context, status);
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& a = context->input(0);
    const tf::Tensor& b = context->input(1);
    const tf::Tensor& bias = context->input(2);
    OP_REQUIRES(context, a.dims() >= 2 && b.dims() == 2,
                absl::InvalidArgumentError(absl::StrCat("a matrix product of ", a.shape().DebugString(),
                                                        " and ", b.shape().DebugString())));
    const std::int64_t depth = b.dim_size(transposed_ ? 1 : 0);
    const std::int64_t columns = b.dim_size(transposed_ ? 0 : 1);
    OP_REQUIRES(
        context, a.dim_size(a.dims() - 1) == depth && bias.NumElements() == columns,
        absl::InvalidArgumentError(absl::StrCat("Matrix size-incompatible: In[0]: ", a.shape().DebugString(),
                                                ", In[1]: ", b.shape().DebugString())));
    std::int64_t rows = 1;
    for (int i = 0; i + 1 < a.dims(); ++i) rows *= a.dim_size(i);
    const bool alone = context->device()->tensorflow_cpu_worker_threads()->num_threads == 1;
    const bool small = rows * depth * columns <= (alone ? kMostOwnAlone : kMostOwn);
    const float* packed = small ? Packed(b, depth, columns) : nullptr;
    if (packed == nullptr) return ComputeFused(context, rows, depth);
    tf::TensorShape shape = a.shape();
    shape.set_dim(a.dims() - 1, columns);
    tf::Tensor* product = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &product));
    kernels_.dense({static_cast<const float*>(a.data()), packed, static_cast<const float*>(bias.data()),
                    static_cast<float*>(product->data()), rows, depth, columns, activation_, leaky_slope_});
  }

 private:
  // Null if `b` is not what was packed at the first run.
  const float* Packed(const tf::Tensor& b, std::int64_t depth, std::int64_t columns) {
    std::call_once(once_, [&] {
      packed_.emplace(kernels_, static_cast<const float*>(b.data()), transposed_, depth, columns);
      packed_from_ = b;  // keeps the address from being used again
    });
    return packed_from_.data() == b.data() ? packed_->data() : nullptr;
  }

  void ComputeFused(tf::OpKernelContext* context, std::int64_t rows, std::int64_t depth) {
    const tf::Tensor& a = context->input(0);
    tf::Tensor matrix;
    tf::Tensor bias;  // TensorFlow's kernel wants one dimension
    OP_REQUIRES(context,
                matrix.CopyFrom(a, {rows, depth}) &&
                    bias.CopyFrom(context->input(2), {context->input(2).NumElements()}),
                absl::InternalError("reshape"));
    tf::Tensor b = context->input(1);
    tf::TensorValue inputs[] = {tf::TensorValue(&matrix), tf::TensorValue(&b), tf::TensorValue(&bias)};
    tf::AllocatorAttributes attributes[3];
    tf::OpKernelContext::Params params;
    params.step_id = context->step_id();
    params.op_kernel = fused_.get();
    params.device = context->device();
    params.inputs = absl::MakeSpan(inputs);
    params.input_alloc_attrs = absl::MakeSpan(attributes);
    params.output_attr_array = attributes;
    params.resource_manager = context->resource_manager();
    params.cancellation_manager = context->cancellation_manager();
    params.runner = context->runner();
    tf::OpKernelContext inner(&params, 1);
    fused_->Compute(&inner);
    OP_REQUIRES_OK(context, inner.status());
    const std::unique_ptr<tf::Tensor> product(inner.release_output(0).tensor);
    if (gelu_here_) {
      auto* values = static_cast<float*>(product->data());
      kernels_.activate(activation_, leaky_slope_, values, product->NumElements(), values);
    }
    tf::TensorShape shape = a.shape();
    shape.set_dim(a.dims() - 1, product->dim_size(1));
    tf::Tensor result;
    OP_REQUIRES(context, result.CopyFrom(*product, shape), absl::InternalError("reshape"));
    context->set_output(0, std::move(result));
  }

  const VectorKernels& kernels_ = VectorKernelsOf(BestIsa());
  Activation activation_ = Activation::kNone;
  float leaky_slope_ = 0;
  bool transposed_ = false;
  bool gelu_here_ = false;
  std::unique_ptr<tf::OpKernel> fused_;
  std::once_flag once_;
  std::optional<PackedWeights> packed_;
  tf::Tensor packed_from_;
};

REGISTER_KERNEL_BUILDER(Name("_SavedmodelDense").Device(tf::DEVICE_CPU), DenseOp);

}  // namespace
}  // namespace savedmodel::engine
