// SPDX-License-Identifier: Apache-2.0
// 3x3 convolutions of stride 1 by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms
// for Convolutional Neural Networks", 2016): 16 products for four pixels instead of 36. Independent of
// TensorFlow.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "engine/kernels/gemm.h"
#include "engine/kernels/winograd_kernels.h"

namespace savedmodel::engine {

// A matrix of channels by results for each of the 16 points of a transformed tile.
class WinogradWeights {
 public:
  // `weights` is [3, 3, channels, results]. `run` must run all parts.
  WinogradWeights(const GemmKernel& kernel, const float* weights, std::int64_t channels, std::int64_t results,
                  const ForParts& run = RunHere);

  const PackedWeights& operator[](int point) const { return *points_[static_cast<std::size_t>(point)]; }

  std::size_t bytes() const { return BytesOf(points_); }

 private:
  std::array<std::unique_ptr<const PackedWeights>, 16> points_;
};

struct WinogradProblem {
  WinogradImages images;       // without its buffers
  std::int64_t count;          // of images
  const Stop* stop = nullptr;  // checked between blocks; after a stop the result is incomplete
};

// Floats of buffer that Winograd() needs, aligned to 64 bytes.
std::int64_t WinogradWorkspaceSize(const WinogradProblem& problem, int threads);

// Uses up to `threads` threads, started by `run`.
void Winograd(const WinogradProblem& problem, const WinogradWeights& weights, Isa isa, float* room,
              int threads, const ForParts& run);

}  // namespace savedmodel::engine
