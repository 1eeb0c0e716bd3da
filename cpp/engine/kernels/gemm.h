// SPDX-License-Identifier: Apache-2.0
// c = activation(a * weights + bias + addend) for weights that are packed once; float32, of which a kernel
// for bfloat16 rounds the factors. Knows nothing of TensorFlow.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/kernels/floats.h"
#include "engine/kernels/gemm_strip.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/threads/stop.h"

namespace savedmodel::engine {

constexpr double kMultiplicationsPerNs = 50;  // of one core, to judge what is worth a thread

// Calls work(begin, end) for parts of [0, count), in any threads, and returns when all is done. `cost` is
// what one item takes, in nanoseconds.
using ForParts = std::function<void(std::int64_t count, double cost,
                                    const std::function<void(std::int64_t begin, std::int64_t end)>& work)>;
inline void RunHere(std::int64_t count, double /*cost*/,
                    const std::function<void(std::int64_t begin, std::int64_t end)>& work) {
  work(0, count);
}

// Weights in the order in which they are read: blocks of `depth_block` rows, of each its panels of columns
// one after the other, of each panel its rows. The last panel is as many vectors wide as it needs, and filled
// with zeros.
class PackedWeights {
 public:
  // `weights` is [depth, columns], or [columns, depth] if transposed. `run` must run all parts.
  PackedWeights(const GemmKernel& kernel, const float* weights, bool transposed, std::int64_t depth,
                std::int64_t columns, const ForParts& run = RunHere);

  std::int64_t depth() const { return depth_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t steps() const { return steps_; }              // depth in words
  std::int64_t depth_block() const { return depth_block_; }  // in words
  std::int64_t panel_width() const { return panel_width_; }
  std::int64_t panels() const { return DivideUp(columns_, panel_width_); }
  // The rows of a block that begins at `step`, which is a multiple of the block, of panel number `panel`.
  const float* Panel(std::int64_t step, std::int64_t panel) const;
  const GemmKernel& kernel() const { return kernel_; }

 private:
  // One panel of the block of rows that begins at `begin`.
  void Pack(const float* weights, bool transposed, std::int64_t begin, std::int64_t panel);

  const GemmKernel& kernel_;
  const std::int64_t depth_, columns_, steps_, panel_width_;
  std::int64_t depth_block_;
  std::int64_t padded_;  // columns with the zeros
  Floats data_;
};

// Where the rows of `a` are. A matrix is one line; a convolution that takes every other pixel has lines of
// pixels `row_stride` apart, and images of lines.
struct GemmRows {
  const float* data;
  std::int64_t row_stride;
  std::int64_t rows_per_line = 0;  // 0: there is but one line
  std::int64_t line_stride = 0;
  std::int64_t lines_per_image = 1;
  std::int64_t image_stride = 0;
};

struct GemmProblem {
  GemmRows a;
  std::int64_t rows;
  const float* bias;    // null, or as many as columns
  const float* addend;  // null, or of the shape and layout of `c`, which it may be
  float* c;
  std::int64_t c_stride;  // from row to row
  Activation activation = Activation::kNone;
  float alpha = 0;
  const Stop* stop = nullptr;  // asked in between, where it takes long; then `c` is not complete
};

// Rows of `a` that are computed at once. Rows a multiple of 4 KB apart fall into the same set of the
// first-level cache, which has room for eight lines.
inline std::int64_t TileRows(const GemmKernel& kernel, std::int64_t row_stride) {
  return row_stride % 1024 == 0 ? 8 : kernel.tile_rows;
}

// So long that `stop` is asked.
bool TakesLong(const GemmProblem& problem, const PackedWeights& weights);

// Columns of some panels, in the caller's thread.
void GemmPanels(const GemmProblem& problem, const PackedWeights& weights, std::int64_t first,
                std::int64_t end);

// In up to `threads` threads, which `run` brings together; it is not called for one.
void Gemm(const GemmProblem& problem, const PackedWeights& weights, int threads, const ForParts& run);

}  // namespace savedmodel::engine
