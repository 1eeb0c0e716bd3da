// SPDX-License-Identifier: Apache-2.0
// Loops over float32 images with the channels last, for one instruction set each, in the caller's thread. No
// inline functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Activation;
enum class Isa;

// y = activation(depthwise convolution of x + bias), of one image. What lies outside of `x` is zero.
struct DepthwiseImage {
  const float* x;        // [height, width, channels]
  const float* weights;  // [window_height, window_width, channels]
  const float* bias;     // [channels]
  float* y;              // [..., out_width, channels]
  std::int64_t height, width, channels;
  std::int64_t window_height, window_width;
  std::int64_t stride_height, stride_width;
  std::int64_t pad_top, pad_left;
  std::int64_t out_width;
  Activation activation;
  float leaky_slope;
};

// Images of which a 3x3 convolution of stride 1 computes tiles of 2x2 pixels, counted line by line and image
// by image. A tile's transform is 16 points: [16][tiles of the block][channels].
struct WinogradImages {
  const float* x;        // [images, height, width, channels]
  const float* bias;     // [results]
  const float* summand;  // null, or of y's shape, and y itself possibly
  float* y;              // [images, out_height, out_width, results]
  std::int64_t height, width, channels;
  std::int64_t out_height, out_width, results;
  std::int64_t pad_top, pad_left;
  Activation activation;
  float leaky_slope;
};

// Some tiles of them, and where their transforms are.
struct WinogradBlock {
  float* inputs;    // of `tiles` tiles, from number `first_tile` on
  float* products;  // the same
  std::int64_t first_tile, tiles;
};

struct ImageKernels {
  // Rows [first, end) of the result.
  void (*depthwise)(const DepthwiseImage& image, std::int64_t first, std::int64_t end);
  // Tiles [first, end) of the block.
  void (*winograd_inputs)(const WinogradImages& images, const WinogradBlock& block, std::int64_t first,
                          std::int64_t end);
  void (*winograd_results)(const WinogradImages& images, const WinogradBlock& block, std::int64_t first,
                           std::int64_t end);
  // One point of windows [3, 3] whose values lie side by side: weights are [3, 3, windows].
  void (*winograd_weights)(const float* weights, std::int64_t windows, int point, float* transformed);
  // y[c] = scale * the sum of x[row * step + c] over all rows.
  void (*sum_rows)(const float* x, std::int64_t rows, std::int64_t step, std::int64_t columns, float scale,
                   float* y);
  // y = x * factors, for each row of `columns`; y may be x.
  void (*scale_rows)(const float* x, std::int64_t rows, std::int64_t columns, const float* factors, float* y);
};

const ImageKernels& ImageKernelsOf(Isa isa);

}  // namespace savedmodel::engine
