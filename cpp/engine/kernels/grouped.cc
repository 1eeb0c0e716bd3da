// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/grouped.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/floats.h"
#include "engine/kernels/integers.h"

namespace savedmodel::engine {
namespace {

using Index = std::int64_t;

// Adjacent windows of so many floats are still in the second-level cache when they are multiplied.
constexpr Index kFloatsOfWindows = Index{1} << 15;
constexpr double kCopiesPerNs = 4;  // floats of windows

// Copies windows of `count` channels from `first` on. A compile-time count needs only a move or two.
template <Index kCount>
class WindowCopy {
 public:
  WindowCopy(const GroupedImages& images, Index first, Index count)
      : images_(images), first_(first), count_(kCount > 0 ? kCount : count) {}

  void Run(Index first_pixel, Index end_pixel, float* to) const {
    Index column = first_pixel % images_.out_width;
    Index row = first_pixel / images_.out_width % images_.out_height;
    const Index size = images_.height * images_.width * images_.channels;
    const float* image = images_.x + first_pixel / images_.out_width / images_.out_height * size;
    for (Index pixel = first_pixel; pixel < end_pixel; ++pixel) {
      to = Window(image, row, column, to);
      if (++column < images_.out_width) continue;
      column = 0;
      if (++row < images_.out_height) continue;
      row = 0;
      image += size;
    }
  }

 private:
  float* Window(const float* image, Index row, Index column, float* to) const {
    const Index top = row * images_.stride_height - images_.pad_top;
    const Index left = column * images_.stride_width - images_.pad_left;
    for (Index i = 0; i < images_.window_height; ++i) {
      const Index line = top + i * images_.dilation_height;
      if (line < 0 || line >= images_.height) {
        to = std::fill_n(to, images_.window_width * Count(), 0.0F);
        continue;
      }
      const float* from = image + line * images_.width * images_.channels + first_;
      for (Index j = 0; j < images_.window_width; ++j, to += Count()) {
        const Index at = left + j * images_.dilation_width;
        if (at < 0 || at >= images_.width) {
          std::fill_n(to, Count(), 0.0F);
        } else {
          std::memcpy(to, from + at * images_.channels, static_cast<std::size_t>(Count()) * sizeof(float));
        }
      }
    }
    return to;
  }

  Index Count() const { return kCount > 0 ? kCount : count_; }

  const GroupedImages& images_;
  const Index first_, count_;
};

void CopyWindows(const GroupedImages& images, Index first_pixel, Index end_pixel, Index first, Index count,
                 float* to) {
  switch (count) {
    case 1:
      return WindowCopy<1>(images, first, count).Run(first_pixel, end_pixel, to);
    case 2:
      return WindowCopy<2>(images, first, count).Run(first_pixel, end_pixel, to);
    case 4:
      return WindowCopy<4>(images, first, count).Run(first_pixel, end_pixel, to);
    case 8:
      return WindowCopy<8>(images, first, count).Run(first_pixel, end_pixel, to);
    case 16:
      return WindowCopy<16>(images, first, count).Run(first_pixel, end_pixel, to);
    default:
      return WindowCopy<0>(images, first, count).Run(first_pixel, end_pixel, to);
  }
}

}  // namespace

GroupedWeights::GroupedWeights(const GemmKernel& kernel, const float* weights, Index window, Index channels,
                               Index results, Index groups) {
  const Index depth = window * channels, columns = results / groups;
  std::vector<float> matrix(static_cast<std::size_t>(depth * columns));
  for (Index group = 0; group < groups; ++group) {
    for (Index k = 0; k < depth; ++k) {
      const float* from = weights + k * results + group * columns;
      std::copy(from, from + columns, matrix.begin() + k * columns);
    }
    groups_.push_back(std::make_unique<const PackedWeights>(kernel, matrix.data(), false, depth, columns));
  }
}

void ConvolveGroups(const GroupedImages& images, const GroupedWeights& weights, const ForParts& run) {
  struct Windows;  // identifies the buffer
  const Index pixels = images.count * images.out_height * images.out_width;
  const Index channels = images.channels / images.groups, columns = images.results / images.groups;
  const Index depth = images.window_height * images.window_width * channels;
  const GemmKernel& kernel = weights[0].kernel();
  const Index tiles = std::max<Index>(kFloatsOfWindows / std::max<Index>(depth, 1) / kernel.tile_rows, 1);
  const Index strips = DivideUp(pixels, tiles * kernel.tile_rows);
  const double rows = static_cast<double>(pixels) / static_cast<double>(strips);
  const Index padded = RoundUp(columns, kernel.lanes);
  const double cost = rows * static_cast<double>(depth) *
                      (static_cast<double>(padded) / kMultiplicationsPerNs + 1 / kCopiesPerNs);
  // All groups of the same pixels run one after the other, so that the images' values are in the cache.
  run(strips * images.groups, cost, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index strip = i / images.groups, group = i % images.groups;
      const Index first = pixels * strip / strips, last = pixels * (strip + 1) / strips;
      float* const windows = ThreadRoom<Windows>((last - first) * depth);
      CopyWindows(images, first, last, group * channels, channels, windows);
      const Index at = first * images.results + group * columns;
      GemmProblem product{};
      product.a = {windows, depth};
      product.rows = last - first;
      product.bias = images.bias + group * columns;
      product.addend = images.addend == nullptr ? nullptr : images.addend + at;
      product.c = images.y + at;
      product.c_stride = images.results;
      product.activation = images.activation;
      product.alpha = images.alpha;
      GemmPanels(product, weights[group], 0, weights[group].panels());
    }
  });
}

}  // namespace savedmodel::engine
