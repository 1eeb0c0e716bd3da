// SPDX-License-Identifier: Apache-2.0
// The innermost loops of products, for one instruction set each. No inline functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Activation;
enum class Isa;

// Rows of c = activation(clamp(a * weights + bias + summand)) in one panel of columns.
struct GemmStrip {
  const float* a;
  std::int64_t a_step;  // from row to row
  const float* weights;
  const float* next;     // what is read soon, and fetched meanwhile
  const float* bias;     // or null
  const float* summand;  // or null; may be `c`
  std::int64_t summand_step;
  float* c;
  std::int64_t c_step;
  std::int64_t rows;
  std::int64_t tile_rows;  // at most so many are computed at once
  std::int64_t columns;    // at most a panel's
  std::int64_t depth;
  float low, high;
  Activation activation;
  float leaky_slope;
};

struct GemmKernel {
  int lanes;          // floats in a vector
  int panel_vectors;  // vectors in a panel of weights
  int tile_rows;      // rows that registers have room for
  void (*strip)(const GemmStrip& strip);
};

const GemmKernel& GemmKernelOf(Isa isa);

}  // namespace savedmodel::engine
