// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/winograd_kernels.h"

#include "engine/kernels/simd/activation.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

using Index = std::int64_t;

// The position of a tile: its image, and the line and column of its first pixel.
struct TilePlace {
  TilePlace(const WinogradImages& images, Index tile) {
    const Index across = (images.out_width + 1) / 2, down = (images.out_height + 1) / 2;
    column = 2 * (tile % across);
    line = 2 * (tile / across % down);
    image = tile / across / down;
  }
  Index image, line, column;
};

// Applies the transform's matrix to the values of a line or a column.
template <typename T>
inline void TransformInput(T (&d)[4]) {
  const T d1 = d[1];
  d[0] = d[0] - d[2];
  d[1] = d1 + d[2];
  d[2] = d[2] - d1;
  d[3] = d1 - d[3];
}

// Transforms some channels of a tile; `at` has its pixels, null for those beyond the image.
template <bool kWhole>
inline void InputTile(const float* const (&at)[4][4], Index channel, Index count, float* to, Index step) {
  Vec rows[4][4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    Vec column[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const float* from = at[i][j];
      column[i] = from == nullptr ? Vec{} : kWhole ? Load(from + channel) : LoadSome(from + channel, count);
    }
    TransformInput(column);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) rows[i][j] = column[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    TransformInput(rows[i]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      float* point = to + (4 * i + j) * step + channel;
      kWhole ? Store(point, rows[i][j]) : StoreSome(point, rows[i][j], count);
    }
  }
}

void Inputs(const WinogradImages& images, const WinogradBlock& block, Index first, Index end) {
  const Index channels = images.channels, step = block.tiles * channels;
  for (Index tile = first; tile < end; ++tile) {
    const TilePlace place(images, block.first_tile + tile);
    const float* at[4][4];
    for (Index i = 0; i < 4; ++i) {
      for (Index j = 0; j < 4; ++j) {
        const Index line = place.line + i - images.pad_top, column = place.column + j - images.pad_left;
        const bool inside = line >= 0 && line < images.height && column >= 0 && column < images.width;
        const Index pixel = (place.image * images.height + line) * images.width + column;
        at[i][j] = inside ? images.x + pixel * channels : nullptr;
      }
    }
    float* to = block.inputs + tile * channels;
    Index channel = 0;
    for (; channel + kLanes <= channels; channel += kLanes) InputTile<true>(at, channel, kLanes, to, step);
    if (channel < channels) InputTile<false>(at, channel, channels - channel, to, step);
  }
}

template <typename T>
inline void TransformResult(const T (&m)[4], T* a, T* b) {
  *a = m[0] + m[1] + m[2];
  *b = m[1] - m[2] - m[3];
}

template <bool kWhole>
inline void ResultTile(const WinogradImages& images, const float* from, Index step,
                       const Index (&offset)[2][2], Index column, Index count, float low, float high) {
  const auto load = [count](const float* p) { return kWhole ? Load(p) : LoadSome(p, count); };
  Vec rows[2][4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    Vec m[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) m[i] = load(from + (4 * i + j) * step + column);
    TransformResult(m, &rows[0][j], &rows[1][j]);
  }
  const Vec bias = load(images.bias + column);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    Vec y[2];
    TransformResult(rows[i], &y[0], &y[1]);
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      if (offset[i][j] < 0) continue;
      Vec sum = y[j] + bias;
      if (images.addend != nullptr) sum += load(images.addend + offset[i][j] + column);
      sum = Clamp(sum, low, high);
      float* to = images.y + offset[i][j] + column;
      kWhole ? Store(to, sum) : StoreSome(to, sum, count);
    }
  }
}

void Results(const WinogradImages& images, const WinogradBlock& block, Index first, Index end) {
  const Index results = images.results, step = block.tiles * results;
  const Limits limits(images.activation);
  const float low = limits.low, high = limits.high;
  for (Index tile = first; tile < end; ++tile) {
    const TilePlace place(images, block.first_tile + tile);
    Index offset[2][2];  // in y; negative: beyond it
    for (Index i = 0; i < 2; ++i) {
      for (Index j = 0; j < 2; ++j) {
        const Index line = place.line + i, column = place.column + j;
        const Index pixel = (place.image * images.out_height + line) * images.out_width + column;
        offset[i][j] = line < images.out_height && column < images.out_width ? pixel * results : -1;
      }
    }
    const float* from = block.products + tile * results;
    Index column = 0;
    for (; column + kLanes <= results; column += kLanes) {
      ResultTile<true>(images, from, step, offset, column, kLanes, low, high);
    }
    if (column < results) ResultTile<false>(images, from, step, offset, column, results - column, low, high);
    if (limits.rest == Activation::kNone) continue;
    for (const auto& line : offset) {
      for (const Index at : line) {
        if (at < 0) continue;
        ActivateRows(limits.rest, images.alpha, images.y + at, 1, results, 0, images.y + at);
      }
    }
  }
}

// A line of the transform's matrix times the three values.
inline Vec TransformWeights(int line, Vec a, Vec b, Vec c) {
  switch (line) {
    case 0:
      return a;
    case 1:
      return 0.5F * (a + b + c);
    case 2:
      return 0.5F * (a - b + c);
    default:
      return c;
  }
}

template <bool kWhole>
inline void TransformWindow(const float* weights, Index windows, int point, Index count, float* transformed) {
  const auto load = [count](const float* from) { return kWhole ? Load(from) : LoadSome(from, count); };
  Vec rows[3];
#pragma GCC unroll 3
  for (int row = 0; row < 3; ++row) {
    const float* from = weights + 3 * row * windows;
    rows[row] = TransformWeights(point % 4, load(from), load(from + windows), load(from + 2 * windows));
  }
  const Vec value = TransformWeights(point / 4, rows[0], rows[1], rows[2]);
  kWhole ? Store(transformed, value) : StoreSome(transformed, value, count);
}

void Weights(const float* weights, Index windows, int point, float* transformed) {
  Index i = 0;
  for (; i + kLanes <= windows; i += kLanes) {
    TransformWindow<true>(weights + i, windows, point, kLanes, transformed + i);
  }
  if (i < windows) TransformWindow<false>(weights + i, windows, point, windows - i, transformed + i);
}

}  // namespace

extern const WinogradKernels kWinogradKernels;
const WinogradKernels kWinogradKernels = {Inputs, Results, Weights};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
