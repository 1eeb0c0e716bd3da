// SPDX-License-Identifier: Apache-2.0
// A depthwise convolution with the 1x1 convolutions before and after it, some rows at a time. The values
// between them, several times as large as input and output, stay in the second-level cache. float32 images,
// the channels last. Independent of TensorFlow.
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
  DepthwiseImage depthwise;  // all fields except `x` and `y`
  std::int64_t out_height;
  PointwiseLayer project;
  const float* addend;  // of the projection; null, or of the result's shape
  const float* x;       // [images, height, width, channels before the expansion]
  float* y;             // [images, out_height, out_width, channels]; may be `addend`, but not `x`
  const ImageKernels* kernels;
  const Stop* stop;  // null, or checked during the work; after a stop `y` is incomplete

  std::int64_t in_channels() const {
    return expand.weights == nullptr ? depthwise.channels : expand.weights->depth();
  }
  std::int64_t out_channels() const {
    return project.weights == nullptr ? depthwise.channels : project.weights->columns();
  }
  // Rows of windows that two adjacent rows of the result share.
  std::int64_t shared_rows() const;
  double RowNs() const;  // time for a row of the result
  // Computes rows [first, end) of all images' results, in the caller's thread.
  void Run(std::int64_t first, std::int64_t end) const;
};

}  // namespace savedmodel::engine
