// SPDX-License-Identifier: Apache-2.0
// Grouped convolutions in every instruction set of this machine, compared with sums in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/kernels/grouped.h"
#include "engine/kernels/isa.h"
#include "tests/cpp/random_values.h"

namespace savedmodel::engine {
namespace {

using Index = std::int64_t;
using Floats = std::vector<float>;

double At(const Floats& values, Index i) { return static_cast<double>(values[static_cast<std::size_t>(i)]); }

// Size of the image, window, stride, dilation and padding in each of the two directions.
struct Axis {
  Index size, window, stride, dilation, pad;
  Index reach() const { return (window - 1) * dilation + 1; }
  Index results() const { return size + 2 * pad < reach() ? 0 : (size + 2 * pad - reach()) / stride + 1; }
};

class GroupedKernelTest : public testing::TestWithParam<Isa> {
 protected:
  void Check(Index count, const Axis& down, const Axis& across, Index groups, Index in, Index out,
             Activation activation, bool addend, int parts) {
    GroupedImages images{};
    images.count = count;
    images.height = down.size;
    images.width = across.size;
    images.channels = groups * in;
    images.out_height = down.results();
    images.out_width = across.results();
    images.results = groups * out;
    images.groups = groups;
    images.window_height = down.window;
    images.window_width = across.window;
    images.stride_height = down.stride;
    images.stride_width = across.stride;
    images.dilation_height = down.dilation;
    images.dilation_width = across.dilation;
    images.pad_top = down.pad;
    images.pad_left = across.pad;
    images.activation = activation;
    images.alpha = 0.3F;
    const Index values = count * images.out_height * images.out_width * images.results;
    const Floats x = Random(count * down.size * across.size * images.channels, 1);
    const Floats weights = Random(down.window * across.window * in * images.results, 2);
    const Floats bias = Random(images.results, 3), added = Random(values, 4);
    Floats y = addend ? added : Floats(static_cast<std::size_t>(values), -7.5F);
    y.push_back(-7.5F);
    images.x = x.data();
    images.bias = bias.data();
    images.y = y.data();
    images.addend = addend ? y.data() : nullptr;
    const GroupedWeights packed(GemmKernelOf(GetParam()), weights.data(), down.window * across.window, in,
                                images.results, groups);
    ConvolveGroups(images, packed, [parts](Index all, double cost, const auto& work) {
      EXPECT_GT(cost, 0);
      for (int i = parts - 1; i >= 0; --i) work(all * i / parts, all * (i + 1) / parts);
    });
    EXPECT_EQ(y.back(), -7.5F);
    for (Index i = 0; i < values; ++i) {
      const Index result = i % images.results, group = result / out;
      const Index column = i / images.results % images.out_width;
      const Index line = i / images.results / images.out_width;
      double sum = At(bias, result) + (addend ? At(added, i) : 0), scale = std::abs(sum) + 1;
      for (Index ky = 0; ky < down.window; ++ky) {
        for (Index kx = 0; kx < across.window; ++kx) {
          const Index h = line % images.out_height * down.stride - down.pad + ky * down.dilation;
          const Index w = column * across.stride - across.pad + kx * across.dilation;
          if (h < 0 || h >= down.size || w < 0 || w >= across.size) continue;
          const Index pixel = (line / images.out_height * down.size + h) * across.size + w;
          for (Index c = 0; c < in; ++c) {
            const double term = At(x, pixel * images.channels + group * in + c) *
                                At(weights, ((ky * across.window + kx) * in + c) * images.results + result);
            sum += term;
            scale += std::abs(term);
          }
        }
      }
      if (activation == Activation::kRelu) sum = std::max(sum, 0.0);
      if (activation == Activation::kSwish) sum /= 1 + std::exp(-sum);
      ASSERT_NEAR(At(y, i), sum, 1e-6 * scale)
          << groups << " groups of " << in << " and " << out << " at " << i;
    }
  }
};

TEST_P(GroupedKernelTest, GroupsOfEverySize) {
  const Activation activations[] = {Activation::kNone, Activation::kRelu, Activation::kSwish};
  int count = 0;
  for (const Index groups : {2, 3, 8}) {
    for (const Index in : {1, 3, 4, 8, 16, 20}) {
      for (const Index out : {1, 4, 7, 16, 33}) {
        ++count;
        Check(2, {5, 3, 1, 1, 1}, {7, 3, 1, 1, 1}, groups, in, out, activations[count % 3], count % 2 == 0,
              1 + count % 5);
      }
    }
  }
}

TEST_P(GroupedKernelTest, WindowsOfEveryShape) {
  for (const Axis& down :
       {Axis{6, 1, 1, 1, 0}, Axis{6, 3, 2, 1, 1}, Axis{9, 3, 1, 2, 2}, Axis{3, 5, 1, 1, 4}}) {
    for (const Axis& across : {Axis{5, 1, 2, 1, 0}, Axis{8, 2, 1, 3, 0}, Axis{9, 5, 3, 1, 2}}) {
      Check(2, down, across, 2, 3, 5, Activation::kRelu, true, 3);
    }
  }
}

// Several images, some pixels at a time.
TEST_P(GroupedKernelTest, ManyPixels) {
  Check(3, {24, 3, 1, 1, 1}, {19, 3, 1, 1, 1}, 2, 64, 32, Activation::kRelu, false, 4);
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, GroupedKernelTest, testing::ValuesIn(AvailableIsas()),
                         [](const auto& isa) { return std::string(Name(isa.param)); });

}  // namespace
}  // namespace savedmodel::engine
