// SPDX-License-Identifier: Apache-2.0
// Keys and values in the order in which products read them (gemm.h), for one instruction set each: panels of
// columns one after the other, the last as many vectors wide as it needs, and filled with zeros. No inline
// functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Isa;

struct AttentionKernels {
  // Of `count` keys, `row_stride` apart, the transposed matrix, [depth, count], times `scale`.
  void (*pack_keys)(const float* keys, std::int64_t row_stride, std::int64_t count, std::int64_t depth,
                    float scale, std::int64_t panel_width, float* packed);
  // Of `count` values, `row_stride` apart, the matrix [count, depth].
  void (*pack_values)(const float* values, std::int64_t row_stride, std::int64_t count, std::int64_t depth,
                      std::int64_t panel_width, float* packed);
};

const AttentionKernels& AttentionKernelsOf(Isa isa);

}  // namespace savedmodel::engine
