// SPDX-License-Identifier: Apache-2.0
// Activations by the names that TensorFlow's fused ops give them.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/vector_kernels.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

// Empty is none. False for a name that is unknown.
inline bool ParseActivation(const std::string& name, Activation* activation) {
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

// The attributes `activation` and `leakyrelu_alpha`, behind this prefix.
inline absl::Status ReadActivation(tensorflow::OpKernelConstruction* context, const std::string& prefix,
                                   Activation* activation, float* leaky_slope) {
  std::string name;
  TF_RETURN_IF_ERROR(context->GetAttr(prefix + "activation", &name));
  TF_RETURN_IF_ERROR(context->GetAttr(prefix + "leakyrelu_alpha", leaky_slope));
  if (ParseActivation(name, activation)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("no such activation: ", name));
}

}  // namespace savedmodel::engine
