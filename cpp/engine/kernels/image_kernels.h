// SPDX-License-Identifier: Apache-2.0
// Loops over float32 images with the channels last, for each instruction set, in the caller's thread. No
// inline functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Activation;
enum class Isa;

constexpr double kReadAndWriteNs = 0.08;  // per float, from and to memory beyond the second-level cache

// y = activation(depthwise convolution of x + bias), for one image. Values outside `x` are zero.
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
  float alpha;
};

struct ImageKernels {
  // Computes rows [first, end) of the result.
  void (*depthwise)(const DepthwiseImage& image, std::int64_t first, std::int64_t end);
  // y[c] = scale * the sum of x[row * step + c] over all rows.
  void (*sum_rows)(const float* x, std::int64_t rows, std::int64_t step, std::int64_t columns, float scale,
                   float* y);
};

const ImageKernels& ImageKernelsOf(Isa isa);
// The time for a row of a depthwise convolution's result, in nanoseconds.
double DepthwiseRowNs(const DepthwiseImage& image);

}  // namespace savedmodel::engine
