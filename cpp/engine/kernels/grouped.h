// SPDX-License-Identifier: Apache-2.0
// Grouped convolutions of float32 images with the channels last: each group of channels has its own weights.
// Copies the windows of some pixels side by side, and multiplies them with a group's weights. Independent of
// TensorFlow.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/kernels/gemm.h"

namespace savedmodel::engine {

struct GroupedImages {
  const float* x;       // [count, height, width, channels]
  const float* bias;    // [results]
  const float* addend;  // null, or of y's shape; may be y itself
  float* y;             // [count, out_height, out_width, results]
  std::int64_t count, height, width, channels;
  std::int64_t out_height, out_width, results;
  std::int64_t groups;  // must divide channels and results
  std::int64_t window_height, window_width;
  std::int64_t stride_height, stride_width;
  std::int64_t dilation_height, dilation_width;
  std::int64_t pad_top, pad_left;
  Activation activation;
  float alpha;
};

// For each group, a matrix of the window's values by results.
class GroupedWeights {
 public:
  // `weights` is [window, channels of a group, results]; `window` is its number of pixels.
  GroupedWeights(const GemmKernel& kernel, const float* weights, std::int64_t window, std::int64_t channels,
                 std::int64_t results, std::int64_t groups);

  const PackedWeights& operator[](std::int64_t group) const {
    return *groups_[static_cast<std::size_t>(group)];
  }

  std::size_t bytes() const { return BytesOf(groups_); }

 private:
  std::vector<std::unique_ptr<const PackedWeights>> groups_;
};

// Runs in threads that `run` provides.
void ConvolveGroups(const GroupedImages& images, const GroupedWeights& weights, const ForParts& run);

}  // namespace savedmodel::engine
