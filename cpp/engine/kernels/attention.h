// SPDX-License-Identifier: Apache-2.0
// softmax(scale * query * transposed(key) + mask) * value, for each head of each sample. Scores are computed
// a few rows at a time, and stay in the cache until they are multiplied with the values. Independent of
// TensorFlow.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

class Stop;
enum class Isa;

// A row of floats for each sample, head and position. Steps are in floats, 0 if one row serves all.
struct HeadRows {
  const float* data;
  std::int64_t sample_stride, head_stride, row_stride;
};

struct AttentionProblem {
  HeadRows query, key;  // rows of `depth`
  HeadRows value;       // rows of `value_depth`
  HeadRows mask;        // rows of `columns`; `data` is null if there is none
  std::int64_t samples, heads;
  std::int64_t rows;     // queries
  std::int64_t columns;  // keys and values
  std::int64_t depth, value_depth;
  float scale;
  float* out;  // rows of `value_depth`
  std::int64_t out_sample_stride, out_head_stride, out_row_stride;
  const Stop* stop = nullptr;  // checked during the work; after a stop `out` is incomplete
};

// The number of parts of a head, computed independently, that gives all `threads` work.
std::int64_t PartsOfHead(const AttentionProblem& problem, int threads);

// Computes parts [first, end) of samples * heads * parts_of_head, in the caller's thread.
void Attend(Isa isa, const AttentionProblem& problem, std::int64_t parts_of_head, std::int64_t first,
            std::int64_t end);

}  // namespace savedmodel::engine
