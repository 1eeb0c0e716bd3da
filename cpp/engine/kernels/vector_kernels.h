// SPDX-License-Identifier: Apache-2.0
// Loops over float32 arrays for each instruction set, in the caller's thread. No inline functions: simd/
// includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Isa;

enum class Activation {
  kNone,
  kRelu,
  kRelu6,
  kLeakyRelu,
  kElu,
  kTanh,
  kSigmoid,
  kSwish,
  kHardSwish,
  kGeluExact,
  kGeluApproximate,
};

enum class Arithmetic { kAdd, kSubtract, kSubtractFrom, kMultiply, kDivide };

struct VectorKernels {
  void (*activate)(Activation activation, float alpha, const float* x, std::int64_t count, float* y);
  // y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, for each row of `columns`.
  void (*layer_norm)(const float* x, std::int64_t rows, std::int64_t columns, const float* gamma,
                     const float* beta, float epsilon, float* y);
  // y = x + values, or another operation, for each row of `columns`; y may be x.
  void (*combine)(Arithmetic arithmetic, const float* x, std::int64_t rows, std::int64_t columns,
                  const float* values, float* y);
  // softmax(x * scale), scale > 0, for rows that are `step` apart in both.
  void (*softmax)(const float* x, std::int64_t rows, std::int64_t columns, std::int64_t step, float scale,
                  float* y);
};

const VectorKernels& VectorKernelsOf(Isa isa);

}  // namespace savedmodel::engine
