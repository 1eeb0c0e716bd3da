// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/attributes.h"

#include "absl/strings/str_cat.h"
#include "engine/kernels/isa.h"
#include "tensorflow/core/framework/kernel_shape_util.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool ParseActivation(const std::string& name, Activation* activation) {
  static constexpr struct {
    const char* name;
    Activation activation;
  } kActivations[] = {
      {"", Activation::kNone},
      {"Relu", Activation::kRelu},
      {"Relu6", Activation::kRelu6},
      {"LeakyRelu", Activation::kLeakyRelu},
      {"Elu", Activation::kElu},
      {"Tanh", Activation::kTanh},
      {"Sigmoid", Activation::kSigmoid},
      {"Swish", Activation::kSwish},
      {"_FusedHardSwish", Activation::kHardSwish},
      {"GeluExact", Activation::kGeluExact},
      {"GeluApproximate", Activation::kGeluApproximate},
  };
  for (const auto& known : kActivations) {
    if (name != known.name) continue;
    *activation = known.activation;
    return true;
  }
  return false;
}

}  // namespace

absl::Status ReadActivation(tf::OpKernelConstruction* context, const std::string& prefix,
                            Activation* activation, float* alpha) {
  std::string name;
  TF_RETURN_IF_ERROR(context->GetAttr(prefix + "activation", &name));
  TF_RETURN_IF_ERROR(context->GetAttr(prefix + "leakyrelu_alpha", alpha));
  if (ParseActivation(name, activation)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("no such activation: ", name));
}

absl::Status ReadGemmKernel(tf::OpKernelConstruction* context, const GemmKernel** kernel) {
  std::string precision;
  TF_RETURN_IF_ERROR(context->GetAttr(kPrecision, &precision));
  *kernel = precision == kBf16 ? Bfloat16GemmKernel() : precision == kInt8 ? Int8GemmKernel() : nullptr;
  if (*kernel == nullptr) *kernel = &GemmKernelOf(BestIsa());
  return absl::OkStatus();
}

absl::Status ImagePadding::Read(tf::OpKernelConstruction* context) {
  TF_RETURN_IF_ERROR(context->GetAttr("padding", &padding_));
  TF_RETURN_IF_ERROR(context->GetAttr("explicit_paddings", &explicit_));
  return tf::CheckValidPadding(padding_, explicit_, 4, tf::FORMAT_NHWC);
}

tf::TensorShape ImagePadding::Padded(tf::TensorShape image) const {
  if (padding_ != tf::EXPLICIT) return image;
  for (int axis = 0; axis < image.dims(); ++axis) {
    const auto at = static_cast<std::size_t>(2 * axis);
    image.set_dim(axis, image.dim_size(axis) + explicit_[at] + explicit_[at + 1]);
  }
  return image;
}

bool ConvolvesNothing(const tf::TensorShape& padded_image) {
  return padded_image.num_elements() == 0 && tf::IsMKLEnabled();
}

absl::Status ImagePadding::Windows(int axis, std::int64_t size, std::int64_t window, std::int64_t stride,
                                   std::int64_t* count, std::int64_t* before) const {
  std::int64_t after = 0;
  if (padding_ == tf::EXPLICIT) {
    const auto at = static_cast<std::size_t>(2 * axis);
    *before = explicit_[at];
    after = explicit_[at + 1];
  }
  return tf::GetWindowedOutputSizeVerbose(size, window, 1, stride, padding_, count, before, &after);
}

}  // namespace savedmodel::engine
