// SPDX-License-Identifier: Apache-2.0
// Grouped convolutions of float32 images with the channels last: each group of channels is convolved with
// weights of its own. The windows of some pixels are laid side by side, and multiplied with a group's
// weights. Knows nothing of TensorFlow.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/kernels/gemm.h"

namespace savedmodel::engine {

struct GroupedImages {
  const float* x;       // [count, height, width, channels]
  const float* bias;    // [results]
  const float* addend;  // null, or of y's shape, and y itself possibly
  float* y;             // [count, out_height, out_width, results]
  std::int64_t count, height, width, channels;
  std::int64_t out_height, out_width, results;
  std::int64_t groups;  // divides channels and results
  std::int64_t window_height, window_width;
  std::int64_t stride_height, stride_width;
  std::int64_t dilation_height, dilation_width;
  std::int64_t pad_top, pad_left;
  Activation activation;
  float alpha;
};

// A matrix of the window's values by results for each group.
class GroupedWeights {
 public:
  // `weights` is [window, channels of a group, results], `window` the number of its pixels.
  GroupedWeights(const GemmKernel& kernel, const float* weights, std::int64_t window, std::int64_t channels,
                 std::int64_t results, std::int64_t groups);

  const PackedWeights& operator[](std::int64_t group) const {
    return *groups_[static_cast<std::size_t>(group)];
  }

 private:
  std::vector<std::unique_ptr<const PackedWeights>> groups_;
};

// In threads that `run` brings together.
void ConvolveGroups(const GroupedImages& images, const GroupedWeights& weights, const ForParts& run);

}  // namespace savedmodel::engine
