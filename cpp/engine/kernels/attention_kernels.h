// SPDX-License-Identifier: Apache-2.0
// Packs keys and values in the order in which products read them (gemm.h), for each instruction set: panels
// of columns one after the other, the last padded with zeros to the vectors that it needs. No inline
// functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Isa;

struct AttentionKernels {
  // Packs `count` keys, `row_stride` apart, as the transposed matrix [depth, count], times `scale`.
  void (*pack_keys)(const float* keys, std::int64_t row_stride, std::int64_t count, std::int64_t depth,
                    float scale, std::int64_t panel_width, float* packed);
  // Packs `count` values, `row_stride` apart, as the matrix [count, depth].
  void (*pack_values)(const float* values, std::int64_t row_stride, std::int64_t count, std::int64_t depth,
                      std::int64_t panel_width, float* packed);
};

const AttentionKernels& AttentionKernelsOf(Isa isa);

}  // namespace savedmodel::engine
