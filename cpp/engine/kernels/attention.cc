// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/attention.h"

#include <algorithm>

#include "engine/kernels/attention_kernels.h"
#include "engine/kernels/floats.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/threads/stop.h"

namespace savedmodel::engine {

namespace {

using Index = std::int64_t;

// Scores buffered before their softmax: an eighth of a second-level cache of 1 MB.
constexpr Index kScores = Index{1} << 15;

const float* At(const HeadRows& rows, Index sample, Index head) {
  return rows.data + sample * rows.sample_stride + head * rows.head_stride;
}

class Heads {
 public:
  Heads(Isa isa, const AttentionProblem& problem)
      : gemm_(GemmKernelOf(isa)),
        vectors_(VectorKernelsOf(isa)),
        pack_(AttentionKernelsOf(isa)),
        problem_(problem),
        panel_width_(Index{gemm_.lanes} * gemm_.panel_vectors) {
    // Rows a multiple of 4 KB apart would all map to one set of the first-level cache.
    score_stride_ = RoundUp(problem.columns, 16) + 16;
    max_rows_ = std::max<Index>(kScores / score_stride_ / gemm_.tile_rows, 1) * gemm_.tile_rows;
    max_rows_ = std::min(max_rows_, problem.rows);
    const Index keys = RoundUp(problem.columns, gemm_.lanes) * problem.depth;
    const Index values = RoundUp(problem.value_depth, gemm_.lanes) * problem.columns;
    // Products prefetch beyond the panel that they read.
    keys_ = ThreadRoom(keys + values + max_rows_ * score_stride_ + panel_width_);
    values_ = keys_ + keys;
    scores_ = values_ + values;
  }

  void Pack(Index sample, Index head) {
    sample_ = sample;
    head_ = head;
    pack_.pack_keys(At(problem_.key, sample, head), problem_.key.row_stride, problem_.columns, problem_.depth,
                    problem_.scale, panel_width_, keys_);
    pack_.pack_values(At(problem_.value, sample, head), problem_.value.row_stride, problem_.columns,
                      problem_.value_depth, panel_width_, values_);
  }

  void Run(Index row, Index end) {
    for (Index next = 0; row < end; row = next) {
      next = std::min(row + max_rows_, end);
      if (IsStopped(problem_.stop)) return;
      Score(row, next - row);
      vectors_.softmax(scores_, next - row, problem_.columns, score_stride_, 1, scores_);
      Combine(row, next - row);
    }
  }

 private:
  void Score(Index row, Index rows) {
    GemmStrip strip{};
    strip.a = At(problem_.query, sample_, head_) + row * problem_.query.row_stride;
    strip.a_stride = problem_.query.row_stride;
    strip.addend_stride = problem_.mask.row_stride;
    strip.c = scores_;
    strip.c_stride = score_stride_;
    const float* mask = problem_.mask.data == nullptr
                            ? nullptr
                            : At(problem_.mask, sample_, head_) + row * problem_.mask.row_stride;
    Multiply(strip, rows, problem_.depth, keys_, problem_.columns, mask);
  }

  void Combine(Index row, Index rows) {
    GemmStrip strip{};
    strip.a = scores_;
    strip.a_stride = score_stride_;
    strip.c = problem_.out + sample_ * problem_.out_sample_stride + head_ * problem_.out_head_stride +
              row * problem_.out_row_stride;
    strip.c_stride = problem_.out_row_stride;
    Multiply(strip, rows, problem_.columns, values_, problem_.value_depth, nullptr);
  }

  void Multiply(GemmStrip strip, Index rows, Index depth, const float* packed, Index columns,
                const float* addend) const {
    strip.rows = rows;
    strip.tile_rows = TileRows(gemm_, strip.a_stride);
    strip.depth = depth;
    strip.activation = Activation::kNone;
    float* const c = strip.c;
    for (Index column = 0; column < columns; column += panel_width_) {
      strip.weights = packed + column * depth;
      strip.next = strip.weights + depth * panel_width_;
      strip.columns = std::min(panel_width_, columns - column);
      strip.addend = addend == nullptr ? nullptr : addend + column;
      strip.c = c + column;
      gemm_.strip(strip);
    }
  }

  const GemmKernel& gemm_;
  const VectorKernels& vectors_;
  const AttentionKernels& pack_;
  const AttentionProblem& problem_;
  const Index panel_width_;
  Index score_stride_, max_rows_, sample_ = 0, head_ = 0;
  float *keys_, *values_, *scores_;
};

}  // namespace

std::int64_t PartsOfHead(const AttentionProblem& problem, int threads) {
  const Index heads = std::max<Index>(problem.samples * problem.heads, 1);
  constexpr Index kFewestRows = 32;  // keys and values are packed again for each part
  const Index wanted = threads < 2 ? 1 : DivideUp(2 * Index{threads}, heads);
  return std::clamp<Index>(problem.rows / kFewestRows, 1, wanted);
}

void Attend(Isa isa, const AttentionProblem& problem, std::int64_t parts_of_head, std::int64_t first,
            std::int64_t end) {
  Heads heads(isa, problem);
  for (Index part = first; part < end; ++part) {
    const Index head = part / parts_of_head, i = part % parts_of_head;
    if (part == first || i == 0) heads.Pack(head / problem.heads, head % problem.heads);
    heads.Run(problem.rows * i / parts_of_head, problem.rows * (i + 1) / parts_of_head);
  }
}

}  // namespace savedmodel::engine
