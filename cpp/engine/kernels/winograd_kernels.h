// SPDX-License-Identifier: Apache-2.0
// The transforms of Winograd's F(2x2, 3x3) for each instruction set, in the caller's thread; float32,
// channels last. No inline functions: simd/ includes this.
#pragma once

#include <cstdint>

namespace savedmodel::engine {

enum class Activation;
enum class Isa;

// Images for a 3x3 convolution of stride 1 in tiles of 2x2 pixels, counted line by line and image by image. A
// tile's transform has 16 points: [16][tiles of the block][channels].
struct WinogradImages {
  const float* x;       // [images, height, width, channels]
  const float* bias;    // [results]
  const float* addend;  // null, or of y's shape; may be y itself
  float* y;             // [images, out_height, out_width, results]
  std::int64_t height, width, channels;
  std::int64_t out_height, out_width, results;
  std::int64_t pad_top, pad_left;
  Activation activation;
  float alpha;
};

// Some tiles, and the location of their transforms.
struct WinogradBlock {
  float* inputs;    // of `tiles` tiles, from number `first_tile` on
  float* products;  // the same
  std::int64_t first_tile, tiles;
};

struct WinogradKernels {
  // Transforms tiles [first, end) of the block.
  void (*inputs)(const WinogradImages& images, const WinogradBlock& block, std::int64_t first,
                 std::int64_t end);
  void (*results)(const WinogradImages& images, const WinogradBlock& block, std::int64_t first,
                  std::int64_t end);
  // Transforms one point of windows [3, 3] whose values are adjacent: weights are [3, 3, windows].
  void (*weights)(const float* weights, std::int64_t windows, int point, float* transformed);
};

const WinogradKernels& WinogradKernelsOf(Isa isa);

}  // namespace savedmodel::engine
