// SPDX-License-Identifier: Apache-2.0
// The innermost loops of products, for each instruction set. No inline functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Activation;
enum class Isa;

// Rows of c = activation(a * weights + bias + addend) in one panel of columns. `a` and the weights are words
// of 32 bits: a float, or two bfloat16 adjacent in depth.
struct GemmStrip {
  const float* a;
  std::int64_t a_stride;  // from row to row, in words
  const float* weights;
  const float* next;    // prefetched, because it is read soon
  const float* bias;    // or null
  const float* addend;  // or null; may be `c`
  std::int64_t addend_stride;
  float* c;
  std::int64_t c_stride;
  std::int64_t rows;
  std::int64_t tile_rows;  // maximum number computed at once
  std::int64_t columns;    // at most a panel's
  std::int64_t depth;      // in words
  Activation activation;
  float alpha;
};

struct GemmKernel {
  int lanes;          // floats in a vector
  int panel_vectors;  // vectors in a panel of weights
  int tile_rows;      // rows whose sums fit into registers
  int numbers;        // numbers per word
  // Packs `count` floats into words; half of the last may be zero. Null if words are floats.
  void (*round)(const float* from, std::int64_t count, float* to);
  void (*strip)(const GemmStrip& strip);
};

const GemmKernel& GemmKernelOf(Isa isa);
// Rounds to bfloat16; null if this machine has no instructions for it.
const GemmKernel* Bfloat16GemmKernel();

}  // namespace savedmodel::engine
