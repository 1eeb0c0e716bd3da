// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/attention_kernels.h"

#include "engine/kernels/simd/vector.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

template <int... kLane>
struct Lanes {};
template <int kCount, int... kLane>
struct FirstLanes : FirstLanes<kCount - 1, kCount - 1, kLane...> {};
template <int... kLane>
struct FirstLanes<0, kLane...> {
  using Type = Lanes<kLane...>;
};

// Swaps values where bit `kStep` of lane and row differ: after all bits the square is transposed.
template <int kStep, int... kLane>
inline void Exchange(Vec* a, Vec* b, Lanes<kLane...>) {
  const Vec low = __builtin_shufflevector(*a, *b, (kLane & kStep ? kLanes + (kLane ^ kStep) : kLane)...);
  *b = __builtin_shufflevector(*a, *b, (kLane & kStep ? kLanes + kLane : kLane ^ kStep)...);
  *a = low;
}

template <int kStep>
inline void Transpose(Vec (&square)[kLanes]) {
#pragma GCC unroll 16
  for (int row = 0; row < kLanes; ++row) {
    if ((row & kStep) != 0) continue;
    Exchange<kStep>(&square[row], &square[row + kStep], FirstLanes<kLanes>::Type());
  }
  if constexpr (kStep > 1) Transpose<kStep / 2>(square);
}

inline std::int64_t Least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t WholeVectors(std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// Packs a vector's width of keys over their full depth.
void PackVector(const float* keys, std::int64_t row_stride, std::int64_t count, std::int64_t depth,
                float scale, std::int64_t width, float* packed) {
  for (std::int64_t k = 0; k < depth; k += kLanes) {
    const std::int64_t rest = Least(kLanes, depth - k);
    Vec square[kLanes];
#pragma GCC unroll 16
    for (int row = 0; row < kLanes; ++row) {
      const float* from = keys + row * row_stride + k;
      square[row] = row >= count ? Vec{} : rest == kLanes ? Load(from) : LoadSome(from, rest);
    }
    Transpose<kLanes / 2>(square);
    float* to = packed + k * width;
    if (rest == kLanes) {
#pragma GCC unroll 16
      for (int row = 0; row < kLanes; ++row) Store(to + row * width, square[row] * scale);
    } else {
      for (int row = 0; row < rest; ++row) Store(to + row * width, square[row] * scale);
    }
  }
}

void PackKeys(const float* keys, std::int64_t row_stride, std::int64_t count, std::int64_t depth, float scale,
              std::int64_t panel_width, float* packed) {
  for (std::int64_t first = 0; first < count; first += panel_width) {
    const std::int64_t width = Least(panel_width, WholeVectors(count - first));
    for (std::int64_t i = 0; i < width; i += kLanes) {
      PackVector(keys + (first + i) * row_stride, row_stride, Least(kLanes, count - first - i), depth, scale,
                 width, packed + i);
    }
    packed += width * depth;
  }
}

void PackValues(const float* values, std::int64_t row_stride, std::int64_t count, std::int64_t depth,
                std::int64_t panel_width, float* packed) {
  for (std::int64_t first = 0; first < depth; first += panel_width) {
    const std::int64_t width = Least(panel_width, WholeVectors(depth - first));
    for (std::int64_t row = 0; row < count; ++row, packed += width) {
      for (std::int64_t i = 0; i < width; i += kLanes) {
        const float* from = values + row * row_stride + first + i;
        const std::int64_t rest = depth - first - i;
        Store(packed + i, rest >= kLanes ? Load(from) : LoadSome(from, rest));
      }
    }
  }
}

}  // namespace

extern const AttentionKernels kAttentionKernels;
const AttentionKernels kAttentionKernels = {PackKeys, PackValues};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
