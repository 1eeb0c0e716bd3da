// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/image_kernels.h"

#include "engine/kernels/simd/activation.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

using Index = std::int64_t;

constexpr int kPixels = 8;  // computed at once: as many chains of sums as hide the latency of an addition

// The part of a window inside the image, for adjacent pixels that share it.
struct Window {
  const float* x;        // at its first row and column, for the first pixel
  const float* weights;  // the same
  Index rows, columns;
};

// Keeps a value in a register; the compiler would load it again for each use.
inline void Keep(Vec* value) {
#if defined(__x86_64__)
  asm("" : "+v"(*value));
#else
  static_cast<void>(value);
#endif
}

template <int Pixels, int Vectors>
inline void AddRow(const float* x, Index step, const float* weights, Index channels, Index columns,
                   Vec (&sums)[Pixels][Vectors]) {
  for (; columns > 0; --columns, x += channels, weights += channels) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      const Vec weight = Load(weights + v * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < Pixels; ++i) sums[i][v] += weight * Load(x + i * step + v * kLanes);
    }
  }
}

// The same for adjacent windows: each pixel is loaded once.
template <int Columns, int Pixels>
inline void AddDenseRow(const float* x, const float* weights, Index channels, Vec (&sums)[Pixels][1]) {
  Vec weight[Columns];
#pragma GCC unroll 8
  for (int j = 0; j < Columns; ++j) weight[j] = Load(weights + j * channels);
#pragma GCC unroll 16
  for (int i = 0; i < Pixels + Columns - 1; ++i) {
    Vec value = Load(x + i * channels);
    Keep(&value);
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) {
      if (i - j >= 0 && i - j < Pixels) sums[i - j][0] += weight[j] * value;
    }
  }
}

// Dense: the number of columns of adjacent windows that are all inside; 0 for any others.
template <int Dense, int Pixels, int Vectors>
inline void Sums(const DepthwiseImage& image, const Window& window, Index channel, float low, float high,
                 float* y) {
  const Index channels = image.channels;
  Vec sums[Pixels][Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) {
    const Vec bias = Load(image.bias + channel + v * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < Pixels; ++i) sums[i][v] = bias;
  }
  const float* x = window.x + channel;
  const float* weights = window.weights + channel;
  for (Index row = 0; row < window.rows; ++row) {
    if constexpr (Dense > 0) {
      AddDenseRow<Dense>(x, weights, channels, sums);
    } else {
      AddRow(x, image.stride_width * channels, weights, channels, window.columns, sums);
    }
    x += image.width * channels;
    weights += image.window_width * channels;
  }
#pragma GCC unroll 8
  for (int i = 0; i < Pixels; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Store(y + i * channels + channel + v * kLanes, Clamp(sums[i][v], low, high));
    }
  }
}

// For less than a vector of channels, one pixel after the other.
void SomeSums(const DepthwiseImage& image, const Window& window, Index channel, Index pixels, float low,
              float high, float* y) {
  const Index channels = image.channels, count = channels - channel;
  for (Index pixel = 0; pixel < pixels; ++pixel) {
    Vec sum = LoadSome(image.bias + channel, count);
    for (Index row = 0; row < window.rows; ++row) {
      const float* x = window.x + (row * image.width + pixel * image.stride_width) * channels + channel;
      const float* weights = window.weights + row * image.window_width * channels + channel;
      for (Index column = 0; column < window.columns; ++column) {
        sum += LoadSome(weights + column * channels, count) * LoadSome(x + column * channels, count);
      }
    }
    StoreSome(y + pixel * channels + channel, Clamp(sum, low, high), count);
  }
}

template <int Dense, int Pixels>
void Block(const DepthwiseImage& image, const Window& window, float* y) {
  constexpr int kVectors = Dense > 0 || Pixels >= kPixels ? 1 : Pixels >= 4 ? 2 : 4;
  const Limits limits(image.activation);
  const float low = limits.low, high = limits.high;
  Index channel = 0;
  const Index end = image.channels;
  for (; channel + kVectors * kLanes <= end; channel += kVectors * kLanes) {
    Sums<Dense, Pixels, kVectors>(image, window, channel, low, high, y);
  }
  for (; channel + kLanes <= end; channel += kLanes) {
    Sums<Dense, Pixels, 1>(image, window, channel, low, high, y);
  }
  if (channel < end) SomeSums(image, window, channel, Pixels, low, high, y);
  if (limits.rest != Activation::kNone) {
    ActivateRows(limits.rest, image.alpha, y, 1, Pixels * end, 0, y);
  }
}

// At most a block of pixels.
template <int Dense, int Pixels>
void Run(const DepthwiseImage& image, const Window& window, Index pixels, float* y) {
  if (pixels == Pixels) return Block<Dense, Pixels>(image, window, y);
  if constexpr (Pixels > 1) Run<Dense, Pixels - 1>(image, window, pixels, y);
}

Index Least(Index a, Index b) { return a < b ? a : b; }
Index Most(Index a, Index b) { return a > b ? a : b; }

void Depthwise(const DepthwiseImage& image, Index first, Index end) {
  const Index channels = image.channels;
  for (Index row = first; row < end; ++row) {
    const Index top = row * image.stride_height - image.pad_top;
    const Index skipped_rows = Most(0, -top);
    const Index rows = Most(0, Least(image.window_height, image.height - top) - skipped_rows);
    Index pixels = 1;
    for (Index pixel = 0; pixel < image.out_width; pixel += pixels) {
      const Index left = pixel * image.stride_width - image.pad_left;
      const Index skipped = Most(0, -left);
      const Index columns = Most(0, Least(image.window_width, image.width - left) - skipped);
      // Up to here the whole window of a pixel is inside.
      const Index last = (image.width - image.window_width + image.pad_left) / image.stride_width;
      const bool inside = columns == image.window_width;
      const Index left_over = inside ? Least(last + 1, image.out_width) - pixel : 1;
      const Index blocks = (left_over + kPixels - 1) / kPixels;
      pixels = (left_over + blocks - 1) / blocks;
      Window window{};
      if (rows > 0 && columns > 0) {
        window.x = image.x + ((top + skipped_rows) * image.width + left + skipped) * channels;
        window.weights = image.weights + (skipped_rows * image.window_width + skipped) * channels;
        window.rows = rows;
        window.columns = columns;
      }
      float* y = image.y + (row * image.out_width + pixel) * channels;
      const bool dense = pixels > 1 && image.stride_width == 1;
      const Index run = dense && (columns == 3 || columns == 5) ? columns : 0;
      (run == 3 ? Run<3, kPixels> : run == 5 ? Run<5, kPixels> : Run<0, kPixels>)(image, window, pixels, y);
    }
  }
}

// Adds sums of a few rows, because one long sum would lose precision.
template <bool kWhole>
inline void SumColumns(const float* x, Index rows, Index step, Index count, float scale, float* y) {
  constexpr Index kRows = 64;
  const auto load = [count](const float* from) { return kWhole ? Load(from) : LoadSome(from, count); };
  Vec total = {};
  for (Index first = 0; first < rows; first += kRows) {
    const Index end = Least(first + kRows, rows);
    Vec sums[4] = {};
    Index row = first;
    for (; row + 4 <= end; row += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) sums[i] += load(x + (row + i) * step);
    }
    for (; row < end; ++row) sums[0] += load(x + row * step);
    total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
  kWhole ? Store(y, total * scale) : StoreSome(y, total * scale, count);
}

void SumRows(const float* x, Index rows, Index step, Index columns, float scale, float* y) {
  Index i = 0;
  for (; i + kLanes <= columns; i += kLanes) SumColumns<true>(x + i, rows, step, kLanes, scale, y + i);
  if (i < columns) SumColumns<false>(x + i, rows, step, columns - i, scale, y + i);
}

}  // namespace

extern const ImageKernels kImageKernels;
const ImageKernels kImageKernels = {Depthwise, SumRows};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
