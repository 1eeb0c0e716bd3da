// SPDX-License-Identifier: Apache-2.0
// The innermost loops of products, for one instruction set each. No inline functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Activation;
enum class Isa;

// Rows of c = activation(a * weights + bias + addend) in one panel of columns. `a` and the weights
// are words of 32 bits: a float, or two bfloat16 that follow each other in depth.
struct GemmStrip {
  const float* a;
  std::int64_t a_stride;  // from row to row, in words
  const float* weights;
  const float* next;    // what is read soon, and fetched meanwhile
  const float* bias;    // or null
  const float* addend;  // or null; may be `c`
  std::int64_t addend_stride;
  float* c;
  std::int64_t c_stride;
  std::int64_t rows;
  std::int64_t tile_rows;  // at most so many are computed at once
  std::int64_t columns;    // at most a panel's
  std::int64_t depth;      // in words
  Activation activation;
  float alpha;
};

struct GemmKernel {
  int lanes;          // floats in a vector
  int panel_vectors;  // vectors in a panel of weights
  int tile_rows;      // rows that registers have room for
  int numbers;        // in a word
  // Null if words are floats. Makes words of `count` floats; half of the last may be zero.
  void (*round)(const float* from, std::int64_t count, float* to);
  void (*strip)(const GemmStrip& strip);
};

const GemmKernel& GemmKernelOf(Isa isa);
// Rounds to bfloat16; null if this machine has no instructions for it.
const GemmKernel* Bfloat16GemmKernel();

}  // namespace savedmodel::engine
