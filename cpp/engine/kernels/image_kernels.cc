// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/image_kernels.h"

#include <algorithm>

namespace savedmodel::engine {

double DepthwiseRowNs(const DepthwiseImage& image) {
  const double taps = static_cast<double>(image.window_height * image.window_width);
  return static_cast<double>(image.out_width * image.channels) * std::max(taps * 0.02, kReadAndWriteNs);
}

}  // namespace savedmodel::engine
