// SPDX-License-Identifier: Apache-2.0
// The innermost loops of products, for each instruction set. No inline functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Activation;
enum class Isa;

// Rows of c = activation(a * weights + bias + addend) in one panel of columns. `a` and the weights are words
// of 32 bits: a float, or several smaller numbers adjacent in depth.
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
  // For integers: each column's scale and sum, padded to whole vectors. `a` has each row's scale and zero
  // point (a std::int32_t) in the two words before it.
  const float* scales;
  const std::int32_t* sums;
};

struct GemmKernel {
  int lanes;          // floats in a vector
  int panel_vectors;  // vectors in a panel of weights
  int tile_rows;      // rows whose sums fit into registers
  int numbers;        // numbers per word
  // Packs `count` floats into words; the rest of the last one has no effect. Null if words are floats.
  // Integers: also writes the scale and the zero point before `to`, and up to 15 words too many after it.
  void (*round)(const float* from, std::int64_t count, float* to);
  void (*strip)(const GemmStrip& strip);
  // Integers: packs so many words of whole vectors from integers in [-127, 127], rounded to nearest, and adds
  // the numbers of each to its sum. Null for other kernels, which pack weights with `round`.
  void (*round_weights)(const float* from, std::int64_t words, float* to, std::int32_t* sums);
};

const GemmKernel& GemmKernelOf(Isa isa);
// Rounds to bfloat16; null if this machine has no instructions for it.
const GemmKernel* Bfloat16GemmKernel();
// Rounds weights to int8, with a scale for each column, and `a` to uint8, with a scale and a zero point for
// each row and block of depth. Sums are exact, so they are the same on all machines. Never null.
const GemmKernel* Int8GemmKernel();

}  // namespace savedmodel::engine
