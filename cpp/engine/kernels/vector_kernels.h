// SPDX-License-Identifier: Apache-2.0
// Loops over float32 arrays for one instruction set each, in the caller's thread. No inline functions: simd/
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
  kGeluExact,
  kGeluApproximate,
};

// y[rows, columns] = activation(x[rows, depth] * weights + bias)
struct DenseProblem {
  const float* x;
  const float* weights;  // as PackWeights left them
  const float* bias;     // columns
  float* y;
  std::int64_t rows;
  std::int64_t depth;
  std::int64_t columns;
  Activation activation;
  float leaky_slope;
};

struct VectorKernels {
  int lanes;          // floats in a vector
  int panel_vectors;  // vectors in a panel of weights
  void (*dense)(const DenseProblem& problem);
  void (*activate)(Activation activation, float leaky_slope, const float* x, std::int64_t count, float* y);
  // y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, for each row of `columns`.
  void (*layer_norm)(const float* x, std::int64_t rows, std::int64_t columns, const float* gamma,
                     const float* beta, float epsilon, float* y);
  // softmax(x * scale), scale > 0
  void (*softmax)(const float* x, std::int64_t rows, std::int64_t columns, float scale, float* y);
};

const VectorKernels& VectorKernelsOf(Isa isa);

// Panels of columns, each depth x width with its rows one after the other; the last panel is as many vectors
// wide as it needs. Aligned to 64 bytes, filled with zeros.
class PackedWeights {
 public:
  // `weights` is [depth, columns], or [columns, depth] if transposed.
  PackedWeights(const VectorKernels& kernels, const float* weights, bool transposed, std::int64_t depth,
                std::int64_t columns);
  ~PackedWeights();
  PackedWeights(const PackedWeights&) = delete;
  PackedWeights& operator=(const PackedWeights&) = delete;
  const float* data() const;

 private:
  float* data_;
};

}  // namespace savedmodel::engine
