// SPDX-License-Identifier: Apache-2.0
// A depthwise convolution with the 1x1 convolutions before and behind it, some rows at a time: what is
// between them, several times as large as what goes in and out, stays in the second-level cache. float32
// images, the channels last. Knows nothing of TensorFlow.
#pragma once

#include <cstdint>

#include "engine/kernels/gemm.h"
#include "engine/kernels/image_kernels.h"

namespace savedmodel::engine {

// activation(pixels * weights + bias).
struct PointwiseLayer {
  const PackedWeights* weights = nullptr;  // null: there is none
  const float* bias = nullptr;
  Activation activation = Activation::kNone;
  float alpha = 0;

  GemmProblem Problem(const float* pixels, std::int64_t count, const float* addend, float* y) const;
};

struct Bottleneck {
  PointwiseLayer expand;
  DepthwiseImage depthwise;  // but for `x` and `y`
  std::int64_t out_height;
  PointwiseLayer project;
  const float* addend;  // null, or of the result's shape; of what is projected
  const float* x;       // [images, height, width, channels that are expanded]
  float* y;             // [images, out_height, out_width, channels]; may be `addend`, but not `x`
  const ImageKernels* kernels;
  const Stop* stop;  // null, or asked in between; then `y` is not complete

  std::int64_t in_channels() const {
    return expand.weights == nullptr ? depthwise.channels : expand.weights->depth();
  }
  std::int64_t out_channels() const {
    return project.weights == nullptr ? depthwise.channels : project.weights->columns();
  }
  // Rows of windows that a row of the result shares with the next.
  std::int64_t shared_rows() const;
  double RowNs() const;  // what a row of the result takes
  // Rows [first, end) of all images' results, in the caller's thread.
  void Run(std::int64_t first, std::int64_t end) const;
};

}  // namespace savedmodel::engine
