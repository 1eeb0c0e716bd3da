// SPDX-License-Identifier: Apache-2.0
// c = activation(a * weights + bias + addend), with weights that are packed once. float32; a bfloat16 or an
// int8 kernel rounds the factors. Independent of TensorFlow.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/kernels/floats.h"
#include "engine/kernels/gemm_strip.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/threads/stop.h"

namespace savedmodel::engine {

constexpr double kMultiplicationsPerNs = 50;  // per core; used to decide whether work is worth a thread

// Calls work(begin, end) for parts of [0, count), in any threads, and returns when all is done. `cost` is the
// time of one item in nanoseconds.
using ForParts = std::function<void(std::int64_t count, double cost,
                                    const std::function<void(std::int64_t begin, std::int64_t end)>& work)>;
inline void RunHere(std::int64_t count, double /*cost*/,
                    const std::function<void(std::int64_t begin, std::int64_t end)>& work) {
  work(0, count);
}

struct NamedGemmKernel {
  const char* name;
  const GemmKernel* kernel;
};
// All variants of the int8 kernel that this machine supports, the fastest last.
const std::vector<NamedGemmKernel>& Int8GemmKernels();

// True if int8 products of this size are faster than float32's on this machine, rounding of rows included;
// with `winograd`, faster than a 3x3 convolution in float32 with fewer products.
bool Int8Pays(std::int64_t depth, std::int64_t columns, bool winograd = false);

// An int8 kernel can't represent weights unless all are finite: the results of other columns are NaN.
bool AllFinite(const float* values, std::int64_t count);

// Weights in reading order: blocks of `depth_block` rows; in each block, its panels of columns; in each
// panel, its rows. The last panel has as many vectors as it needs, padded with zeros.
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
  // The rows of panel number `panel` in the block that begins at `step`, a multiple of the block.
  const float* Panel(std::int64_t step, std::int64_t panel) const;
  // For integers: the scales of the panel's columns, and the sums of their numbers in the block; else null.
  const float* Scales(std::int64_t panel) const;
  const std::int32_t* Sums(std::int64_t step, std::int64_t panel) const;
  const GemmKernel& kernel() const { return kernel_; }
  std::size_t bytes() const { return data_.bytes() + scales_.bytes() + sums_.size() * sizeof(std::int32_t); }

 private:
  // Sets the scales of some columns from `first` on.
  void Scale(const float* weights, bool transposed, std::int64_t first);
  // Packs one panel of the block of rows that begins at `begin`.
  void Pack(const float* weights, bool transposed, std::int64_t begin, std::int64_t panel);

  const GemmKernel& kernel_;
  const std::int64_t depth_, columns_, steps_, panel_width_;
  std::int64_t depth_block_;
  std::int64_t padded_;  // columns including the padding
  Floats data_;
  Floats scales_;
  std::vector<std::int32_t> sums_;
};

template <typename All>
std::size_t BytesOf(const All& all) {
  std::size_t bytes = 0;
  for (const auto& one : all) bytes += one->bytes();
  return bytes;
}

// The layout of the rows of `a`. A matrix is one line. A convolution that takes every other pixel has lines
// of pixels `row_stride` apart, and images of lines.
struct GemmRows {
  const float* data;
  std::int64_t row_stride;
  std::int64_t rows_per_line = 0;  // 0: there is only one line
  std::int64_t line_stride = 0;
  std::int64_t lines_per_image = 1;
  std::int64_t image_stride = 0;
};

struct GemmProblem {
  GemmRows a;
  std::int64_t rows;
  const float* bias;    // null, or as many as columns
  const float* addend;  // null, or of `c`'s shape and layout; may be `c` itself
  float* c;
  std::int64_t c_stride;  // from row to row
  Activation activation = Activation::kNone;
  float alpha = 0;
  const Stop* stop = nullptr;  // checked during long work; after a stop `c` is incomplete
};

// Rows of `a` that are computed at once. Rows a multiple of 4 KB apart map to the same set of the first-level
// cache, which holds eight lines.
inline std::int64_t TileRows(const GemmKernel& kernel, std::int64_t row_stride) {
  return row_stride % 1024 == 0 ? 8 : kernel.tile_rows;
}

// True if it takes long enough to check `stop`.
bool TakesLong(const GemmProblem& problem, const PackedWeights& weights);

// Computes columns of some panels, in the caller's thread.
void GemmPanels(const GemmProblem& problem, const PackedWeights& weights, std::int64_t first,
                std::int64_t end);

// Uses up to `threads` threads, started by `run`, which is not called for one thread.
void Gemm(const GemmProblem& problem, const PackedWeights& weights, int threads, const ForParts& run);

}  // namespace savedmodel::engine
