// SPDX-License-Identifier: Apache-2.0
// Loops over images in every instruction set of this machine, compared with sums in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/kernels/image_kernels.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/kernels/winograd.h"
#include "tests/cpp/random_values.h"

namespace savedmodel::engine {
namespace {

using Index = std::int64_t;
using Floats = std::vector<float>;

double At(const Floats& values, Index i) { return static_cast<double>(values[static_cast<std::size_t>(i)]); }

class ImageKernelsTest : public testing::TestWithParam<Isa> {
 protected:
  // Buffers have the exact size, so that valgrind and sanitizers see reads beyond them.
  void CheckDepthwise(DepthwiseImage image, Index out_height) {
    const Index channels = image.channels, row = image.out_width * channels;
    const Floats x = Random(image.height * image.width * channels, 1);
    const Floats weights = Random(image.window_height * image.window_width * channels, 2);
    const Floats bias = Random(channels, 3);
    Floats y(static_cast<std::size_t>(out_height * row), -7.5F);
    image.x = x.data();
    image.weights = weights.data();
    image.bias = bias.data();
    image.y = y.data();
    // In parts, the last one first.
    const Index half = out_height / 2;
    kernels_.depthwise(image, half, out_height);
    kernels_.depthwise(image, 0, half);
    for (Index i = 0; i < out_height * row; ++i) {
      const Index channel = i % channels;
      const Index top = i / row * image.stride_height - image.pad_top;
      const Index left = i % row / channels * image.stride_width - image.pad_left;
      double sum = At(bias, channel);
      double scale = std::abs(sum) + 1;
      for (Index ky = 0; ky < image.window_height; ++ky) {
        for (Index kx = 0; kx < image.window_width; ++kx) {
          const Index h = top + ky, w = left + kx;
          if (h < 0 || h >= image.height || w < 0 || w >= image.width) continue;
          const double term = At(x, (h * image.width + w) * channels + channel) *
                              At(weights, (ky * image.window_width + kx) * channels + channel);
          sum += term;
          scale += std::abs(term);
        }
      }
      if (image.activation == Activation::kRelu6) sum = std::min(std::max(sum, 0.0), 6.0);
      if (image.activation == Activation::kSwish) sum /= 1 + std::exp(-sum);
      ASSERT_NEAR(At(y, i), sum, 1e-6 * scale)
          << image.height << "x" << image.width << "x" << channels << " window " << image.window_height << "x"
          << image.window_width << " stride " << image.stride_height << " at " << i;
    }
  }

  const ImageKernels& kernels_ = ImageKernelsOf(GetParam());
};

TEST_P(ImageKernelsTest, DepthwiseOfEveryShape) {
  const Activation activations[] = {Activation::kNone, Activation::kRelu6, Activation::kSwish};
  int count = 0;
  for (const Index size : {1, 2, 3, 5, 7, 12, 19, 34}) {
    for (const Index channels : {1, 3, 8, 16, 33, 70}) {
      for (const Index window : {1, 2, 3, 5, 7}) {
        for (const Index stride : {1, 2, 3}) {
          for (const Index pad : {Index{0}, window / 2, window - 1}) {
            const Index out = (size + 2 * pad - window) / stride + 1;
            if (size + 2 * pad < window) continue;
            DepthwiseImage image{};
            image.height = image.width = size;
            image.channels = channels;
            image.window_height = image.window_width = window;
            image.stride_height = image.stride_width = stride;
            image.pad_top = image.pad_left = pad;
            image.out_width = out;
            image.activation = activations[++count % 3];
            CheckDepthwise(image, out);
          }
        }
      }
    }
  }
}

TEST_P(ImageKernelsTest, DepthwiseOfUnequalSides) {
  DepthwiseImage image{};
  image.height = 4;
  image.width = 23;
  image.channels = 20;
  image.window_height = 2;
  image.window_width = 5;
  image.stride_height = 2;
  image.stride_width = 1;
  image.pad_top = 0;
  image.pad_left = 3;
  image.out_width = 25;
  CheckDepthwise(image, 2);
}

struct Convolution {
  Index count, height, width, channels, results;
  Index pad_top, pad_left, pad_bottom, pad_right;
};

// Compared with sums of nine taps; over the addend itself, in parts in any order.
void CheckWinograd(Isa isa, const Convolution& c, Activation activation, bool addend, int threads) {
  WinogradProblem problem{};
  problem.count = c.count;
  WinogradImages& images = problem.images;
  images.height = c.height;
  images.width = c.width;
  images.channels = c.channels;
  images.results = c.results;
  images.out_height = c.height + c.pad_top + c.pad_bottom - 2;
  images.out_width = c.width + c.pad_left + c.pad_right - 2;
  images.pad_top = c.pad_top;
  images.pad_left = c.pad_left;
  images.activation = activation;
  const Floats x = Random(c.count * c.height * c.width * c.channels, 1);
  const Floats weights = Random(9 * c.channels * c.results, 2), bias = Random(c.results, 3);
  const Index floats = c.count * images.out_height * images.out_width * c.results;
  const Floats before = Random(floats, 4);
  Floats y = before;
  images.x = x.data();
  images.bias = bias.data();
  images.addend = addend ? y.data() : nullptr;
  images.y = y.data();
  const WinogradWeights transformed(GemmKernelOf(isa), weights.data(), c.channels, c.results);
  std::vector<float> buffer(static_cast<std::size_t>(WinogradWorkspaceSize(problem, threads)) + 16);
  const auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
  float* const room = buffer.data() + (64 - address % 64) % 64 / sizeof(float);
  Winograd(problem, transformed, isa, room, threads, [](Index count, double, const auto& work) {
    for (Index i = count; i-- > 0;) work(i, i + 1);
  });
  for (Index i = 0; i < floats; ++i) {
    const Index result = i % c.results, column = i / c.results % images.out_width;
    const Index line = i / c.results / images.out_width % images.out_height;
    const Index image = i / c.results / images.out_width / images.out_height;
    double sum = At(bias, result) + (addend ? At(before, i) : 0);
    double scale = std::abs(sum) + 1;
    for (Index tap = 0; tap < 9; ++tap) {
      const Index h = line + tap / 3 - c.pad_top, w = column + tap % 3 - c.pad_left;
      if (h < 0 || h >= c.height || w < 0 || w >= c.width) continue;
      for (Index channel = 0; channel < c.channels; ++channel) {
        const double term = At(x, ((image * c.height + h) * c.width + w) * c.channels + channel) *
                            At(weights, (tap * c.channels + channel) * c.results + result);
        sum += term;
        scale += std::abs(term);
      }
    }
    if (activation == Activation::kRelu) sum = std::max(sum, 0.0);
    if (activation == Activation::kSwish) sum /= 1 + std::exp(-sum);
    ASSERT_NEAR(At(y, i), sum, 1e-6 * scale)
        << c.height << "x" << c.width << "x" << c.channels << " at " << i;
  }
}

TEST_P(ImageKernelsTest, WinogradOfEveryShape) {
  int count = 0;
  for (const Index height : {1, 2, 3, 6, 7, 16}) {
    for (const Index width : {1, 2, 5, 8, 21}) {
      for (const Index pad : {0, 1, 2}) {
        if (height + 2 * pad < 3 || width + 2 * pad < 3) continue;
        const Activation activation = ++count % 2 == 0 ? Activation::kRelu : Activation::kNone;
        CheckWinograd(GetParam(), {2, height, width, 33, 40, pad, pad, pad, pad}, activation, count % 3 == 0,
                      2);
      }
    }
  }
}

TEST_P(ImageKernelsTest, WinogradInManyBlocksAndThreads) {
  for (const int threads : {1, 2, 16}) {
    CheckWinograd(GetParam(), {3, 40, 31, 64, 70, 0, 1, 2, 1}, Activation::kSwish, true, threads);
  }
}

TEST_P(ImageKernelsTest, SumOfRows) {
  for (const Index rows : {0, 1, 3, 4, 49, 64, 65, 3136}) {
    for (const Index columns : {1, 7, 16, 40, 67}) {
      const Index step = columns + 5;
      const Floats x = Random(rows * step, 4);
      Floats y(static_cast<std::size_t>(columns + 1), -7.5F);
      kernels_.sum_rows(x.data(), rows, step, columns, 0.5F, y.data());
      EXPECT_EQ(y.back(), -7.5F);
      for (Index column = 0; column < columns; ++column) {
        double sum = 0;
        for (Index row = 0; row < rows; ++row) sum += At(x, row * step + column);
        ASSERT_NEAR(At(y, column), 0.5 * sum, 1e-6 * static_cast<double>(rows)) << rows << "x" << columns;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, ImageKernelsTest, testing::ValuesIn(AvailableIsas()),
                         [](const auto& tested) { return std::string(Name(tested.param)); });

}  // namespace
}  // namespace savedmodel::engine
