// SPDX-License-Identifier: Apache-2.0
// The innermost loops of products.
#include "engine/kernels/gemm_strip.h"
#include "engine/kernels/simd/activation.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

constexpr int kPanelVectors = 2;
// With AVX-512, four registers are left for operands.
constexpr int kTileRows = kLanes == 16 ? 14 : kAccumulators / kPanelVectors;
constexpr int kUnrolled = 4;  // steps of depth

// Rows of `a` are reached from every third: three pointers' worth of addressing for each register.
template <int Rows>
struct RowBases {
  static constexpr int kCount = (Rows + 2) / 3;
  const float* at[kCount];
  std::int64_t step;
};

template <int Rows, int Vectors>
inline void Step(const RowBases<Rows>& a, std::int64_t k, const float* weights, Vec (&sums)[Rows][Vectors]) {
  Vec w[Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) w[v] = reinterpret_cast<const Vec*>(weights)[v];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const float x = a.at[r / 3][k + (r % 3) * a.step];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[r][v] += x * w[v];
  }
}

template <int Rows, int Vectors>
inline void Finish(const GemmStrip& strip, int v, Vec (&sums)[Rows][Vectors], const float* summand,
                   float* c) {
  const std::int64_t rest = strip.columns - v * kLanes;
  const std::int64_t c_step = strip.c_step;
  const bool whole = rest >= kLanes;
  c += v * kLanes;
  if (summand != nullptr) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const float* from = summand + r * strip.summand_step + v * kLanes;
      sums[r][v] += whole ? Load(from) : LoadSome(from, rest);
    }
  }
  Vec bias = {};
  if (strip.bias != nullptr) {
    bias = whole ? Load(strip.bias + v * kLanes) : LoadSome(strip.bias + v * kLanes, rest);
  }
  const float low = strip.low, high = strip.high;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const Vec sum = sums[r][v] + bias;
    sums[r][v] = Clamp(sum, low, high);
  }
  if (whole) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) Store(c + r * c_step, sums[r][v]);
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) StoreSome(c + r * c_step, sums[r][v], rest);
  }
}

// Few sums are kept in several chains, so that one addition need not wait for the one before.
template <int Rows, int Vectors>
void Tile(const GemmStrip& strip, const float* a, const float* summand, float* c, const float* next) {
  constexpr int kChains = Rows * Vectors >= 8 ? 1 : Rows * Vectors >= 4 ? 2 : 4;
  constexpr int kWidth = Vectors * kLanes;
  Vec sums[kChains][Rows][Vectors] = {};
  RowBases<Rows> rows;
  rows.step = strip.a_step;
#pragma GCC unroll 8
  for (int i = 0; i < RowBases<Rows>::kCount; ++i) rows.at[i] = a + 3 * i * strip.a_step;
  const float* weights = strip.weights;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {  // to be written soon
    __builtin_prefetch(c + r * strip.c_step, 1);
    if (Vectors > 1) __builtin_prefetch(c + r * strip.c_step + kLanes, 1);
  }
  std::int64_t k = strip.depth;
  for (; k >= kUnrolled; k -= kUnrolled) {
#pragma GCC unroll 8
    for (int u = 0; u < kUnrolled; ++u) {
      Step<Rows, Vectors>(rows, u, weights + u * kWidth, sums[u % kChains]);
    }
    weights += kUnrolled * kWidth;
    __builtin_prefetch(next, 0, 2);
    __builtin_prefetch(next + 16, 0, 2);
    next += 32;
#pragma GCC unroll 8
    for (int i = 0; i < RowBases<Rows>::kCount; ++i) rows.at[i] += kUnrolled;
  }
  for (; k > 0; --k) {
    Step<Rows, Vectors>(rows, 0, weights, sums[0]);
    weights += kWidth;
#pragma GCC unroll 8
    for (int i = 0; i < RowBases<Rows>::kCount; ++i) ++rows.at[i];
  }
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int chain = 1; chain < kChains; ++chain) sums[0][r][v] += sums[chain][r][v];
    }
    Finish(strip, v, sums[0], summand, c);
  }
}

template <int Rows, int Vectors>
void RunTile(std::int64_t rows, const GemmStrip& strip, const float* a, const float* summand, float* c,
             const float* next) {
  if (rows == Rows) return Tile<Rows, Vectors>(strip, a, summand, c, next);
  if constexpr (Rows > 1) RunTile<Rows - 1, Vectors>(rows, strip, a, summand, c, next);
}

void Strip(const GemmStrip& strip) {
  const std::int64_t most = strip.tile_rows < kTileRows ? strip.tile_rows : kTileRows;
  const std::int64_t count = (strip.rows + most - 1) / most;
  // Each tile fetches 32 floats of the next panel in four steps: after some tiles all of it is there.
  const std::int64_t fetched = strip.depth / kUnrolled * 32;
  const float* next = strip.next;
  for (std::int64_t i = 0, row = 0; i < count; ++i) {
    const std::int64_t end = (i + 1) * strip.rows / count;
    const float* a = strip.a + row * strip.a_step;
    const float* summand = strip.summand == nullptr ? nullptr : strip.summand + row * strip.summand_step;
    float* c = strip.c + row * strip.c_step;
    if (strip.columns > kLanes) {
      RunTile<kTileRows, 2>(end - row, strip, a, summand, c, next);
    } else {
      RunTile<kTileRows, 1>(end - row, strip, a, summand, c, next);
    }
    if (next + fetched < strip.next + strip.depth * kPanelVectors * kLanes) next += fetched;
    if (strip.activation != Activation::kNone) {
      ActivateRows(strip.activation, strip.leaky_slope, c, end - row, strip.columns, strip.c_step, c);
    }
    row = end;
  }
}

}  // namespace

extern const GemmKernel kGemmKernel;
const GemmKernel kGemmKernel = {kLanes, kPanelVectors, kTileRows, Strip};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
