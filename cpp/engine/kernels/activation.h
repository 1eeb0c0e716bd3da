// SPDX-License-Identifier: Apache-2.0
// Activations by the names that TensorFlow's fused ops give them.
#pragma once

#include <string>

#include "engine/kernels/vector_kernels.h"

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

}  // namespace savedmodel::engine
