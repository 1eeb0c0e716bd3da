// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/image_kernels.h"

#include "engine/kernels/simd/activation.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

using Index = std::int64_t;

constexpr int kPixels = 8;  // that are computed at once: as many chains of sums as hide an addition's latency
constexpr float kInf = __builtin_inff();

// The part of a window that lies in the image, for pixels side by side for which it is the same.
struct Window {
  const float* x;        // at its first row and column, for the first pixel
  const float* weights;  // the same
  Index rows, columns;
};

// The compiler would rather load a value again for each use.
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

// The same for windows side by side: each pixel is loaded once.
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

// Dense: the columns of windows side by side, if they are all inside; 0 for any others.
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

// Less than a vector of channels, one pixel after the other.
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
  const bool relu = image.activation == Activation::kRelu || image.activation == Activation::kRelu6;
  const float low = relu ? 0 : -kInf;
  const float high = image.activation == Activation::kRelu6 ? 6 : kInf;
  Index channel = 0;
  const Index end = image.channels;
  for (; channel + kVectors * kLanes <= end; channel += kVectors * kLanes) {
    Sums<Dense, Pixels, kVectors>(image, window, channel, low, high, y);
  }
  for (; channel + kLanes <= end; channel += kLanes) {
    Sums<Dense, Pixels, 1>(image, window, channel, low, high, y);
  }
  if (channel < end) SomeSums(image, window, channel, Pixels, low, high, y);
  if (!relu && image.activation != Activation::kNone) {
    ActivateRows(image.activation, image.leaky_slope, y, 1, Pixels * end, 0, y);
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
      // Up to here pixels have their whole window inside.
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

// Sums of few rows are summed up: one long sum would lose digits.
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

void ScaleRows(const float* x, Index rows, Index columns, const float* factors, float* y) {
  for (; rows > 0; --rows, x += columns, y += columns) {
    Index i = 0;
    for (; i + kLanes <= columns; i += kLanes) Store(y + i, Load(x + i) * Load(factors + i));
    if (i < columns)
      StoreSome(y + i, LoadSome(x + i, columns - i) * LoadSome(factors + i, columns - i), columns - i);
  }
}

// Where the tile lies: its image, and the line and column of its first pixel.
struct TilePlace {
  TilePlace(const WinogradImages& images, Index tile) {
    const Index across = (images.out_width + 1) / 2, down = (images.out_height + 1) / 2;
    column = 2 * (tile % across);
    line = 2 * (tile / across % down);
    image = tile / across / down;
  }
  Index image, line, column;
};

// The same for values in a line or a column: in each, what stands in the transform's matrix.
template <typename T>
inline void TransformInput(T (&d)[4]) {
  const T d1 = d[1];
  d[0] = d[0] - d[2];
  d[1] = d1 + d[2];
  d[2] = d[2] - d1;
  d[3] = d1 - d[3];
}

// Some channels of a tile; `at` has its pixels, null for those beyond the image.
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

void WinogradInputs(const WinogradImages& images, const WinogradBlock& block, Index first, Index end) {
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
      if (images.summand != nullptr) sum += load(images.summand + offset[i][j] + column);
      sum = Clamp(sum, low, high);
      float* to = images.y + offset[i][j] + column;
      kWhole ? Store(to, sum) : StoreSome(to, sum, count);
    }
  }
}

void WinogradResults(const WinogradImages& images, const WinogradBlock& block, Index first, Index end) {
  const Index results = images.results, step = block.tiles * results;
  const bool relu = images.activation == Activation::kRelu || images.activation == Activation::kRelu6;
  const float low = relu ? 0 : -kInf;
  const float high = images.activation == Activation::kRelu6 ? 6 : kInf;
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
    if (relu || images.activation == Activation::kNone) continue;
    for (const auto& line : offset) {
      for (const Index at : line) {
        if (at < 0) continue;
        ActivateRows(images.activation, images.leaky_slope, images.y + at, 1, results, 0, images.y + at);
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

void WinogradWeightsOf(const float* weights, Index windows, int point, float* transformed) {
  Index i = 0;
  for (; i + kLanes <= windows; i += kLanes) {
    TransformWindow<true>(weights + i, windows, point, kLanes, transformed + i);
  }
  if (i < windows) TransformWindow<false>(weights + i, windows, point, windows - i, transformed + i);
}

}  // namespace

extern const ImageKernels kImageKernels;
const ImageKernels kImageKernels = {Depthwise,         WinogradInputs, WinogradResults,
                                    WinogradWeightsOf, SumRows,        ScaleRows};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
