// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/winograd.h"

#include <algorithm>
#include <vector>

#include "engine/kernels/integers.h"
#include "engine/kernels/isa.h"

namespace savedmodel::engine {

namespace {

using Index = std::int64_t;

constexpr int kPoints = 16;
// Transforms of this many floats per thread stay in the caches from one step to the next.
constexpr Index kFloatsOfBlock = Index{1} << 19;
constexpr Index kMinTiles = 14;
constexpr double kNsPerFloat = 0.05;  // time per float of a transform

Index Tiles(const WinogradProblem& problem) {
  const WinogradImages& images = problem.images;
  return problem.count * DivideUp(images.out_height, 2) * DivideUp(images.out_width, 2);
}

Index TilesOfBlock(const WinogradProblem& problem, int threads) {
  const Index tile = kPoints * (problem.images.channels + problem.images.results);
  const Index most = std::max(kFloatsOfBlock * threads / tile, kMinTiles);
  const Index tiles = Tiles(problem);
  return DivideUp(tiles, DivideUp(tiles, most));  // blocks of the same size
}

}  // namespace

WinogradWeights::WinogradWeights(const GemmKernel& kernel, const float* weights, Index channels,
                                 Index results, const ForParts& run) {
  run(kPoints, static_cast<double>(channels * results), [&](Index begin, Index end) {
    std::vector<float> transformed(static_cast<std::size_t>(channels * results));
    for (auto point = static_cast<int>(begin); point < static_cast<int>(end); ++point) {
      WinogradKernelsOf(BestIsa()).weights(weights, channels * results, point, transformed.data());
      points_[static_cast<std::size_t>(point)] =
          std::make_unique<const PackedWeights>(kernel, transformed.data(), false, channels, results);
    }
  });
}

Index WinogradWorkspaceSize(const WinogradProblem& problem, int threads) {
  return kPoints * TilesOfBlock(problem, threads) * (problem.images.channels + problem.images.results);
}

void Winograd(const WinogradProblem& problem, const WinogradWeights& weights, Isa isa, float* room,
              int threads, const ForParts& run) {
  const WinogradImages& images = problem.images;
  const WinogradKernels& kernels = WinogradKernelsOf(isa);
  const Index channels = images.channels, results = images.results, tiles = Tiles(problem);
  const Index most = TilesOfBlock(problem, threads);
  for (Index first = 0; first < tiles && (first == 0 || !IsStopped(problem.stop)); first += most) {
    WinogradBlock block{};
    block.first_tile = first;
    block.tiles = std::min(most, tiles - first);
    block.inputs = room;
    block.products = room + kPoints * block.tiles * channels;
    const auto transform = static_cast<double>(kPoints) * kNsPerFloat;
    run(block.tiles, transform * static_cast<double>(channels),
        [&](Index begin, Index end) { kernels.inputs(images, block, begin, end); });
    // Each part has its own weights: those of a point, or some of its panels.
    const Index panels = threads > kPoints / 2 ? weights[0].panels() : 1;
    const double cost =
        static_cast<double>(block.tiles * channels * results) / 50 / static_cast<double>(panels);
    run(kPoints * panels, cost, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const Index point = i / panels;
        GemmProblem product{};
        product.a = {block.inputs + point * block.tiles * channels, channels};
        product.rows = block.tiles;
        product.c = block.products + point * block.tiles * results;
        product.c_stride = results;
        const PackedWeights& matrix = weights[static_cast<int>(point)];
        GemmPanels(product, matrix, panels == 1 ? 0 : i % panels,
                   panels == 1 ? matrix.panels() : i % panels + 1);
      }
    });
    run(block.tiles, transform * static_cast<double>(results),
        [&](Index begin, Index end) { kernels.results(images, block, begin, end); });
  }
}

}  // namespace savedmodel::engine
