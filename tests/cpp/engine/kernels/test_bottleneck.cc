// SPDX-License-Identifier: Apache-2.0
// Three layers some rows at a time, in every instruction set of this machine, compared with one layer after
// the other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/kernels/bottleneck.h"
#include "engine/kernels/isa.h"
#include "tests/cpp/random_values.h"

namespace savedmodel::engine {
namespace {

using Index = std::int64_t;
using Values = std::vector<float>;

struct Shape {
  Index images, height, width, in, middle, out;
  Index window, stride, pad;
};

class BottleneckTest : public testing::TestWithParam<Isa> {
 protected:
  // Computes the parts from the last to the first, so that none finds results of the previous one.
  void Check(const Shape& shape, bool expands, bool projects, bool adds, Index parts) {
    const Index in = expands ? shape.in : shape.middle, out = projects ? shape.out : shape.middle;
    const GemmKernel& gemm = GemmKernelOf(GetParam());
    const PackedWeights expand(gemm, Random(in * shape.middle, 1).data(), false, in, shape.middle);
    const PackedWeights project(gemm, Random(shape.middle * out, 2).data(), false, shape.middle, out);
    const Values expand_bias = Random(shape.middle, 3), project_bias = Random(out, 4);
    const Values filter = Random(shape.window * shape.window * shape.middle, 5);
    const Values bias = Random(shape.middle, 6);
    const Values x = Random(shape.images * shape.height * shape.width * in, 7);

    Bottleneck block{};
    block.kernels = &ImageKernelsOf(GetParam());
    if (expands) block.expand = {&expand, expand_bias.data(), Activation::kRelu6, 0};
    if (projects) block.project = {&project, project_bias.data(), Activation::kSwish, 0};
    DepthwiseImage& depthwise = block.depthwise;
    depthwise.weights = filter.data();
    depthwise.bias = bias.data();
    depthwise.height = shape.height;
    depthwise.width = shape.width;
    depthwise.channels = shape.middle;
    depthwise.window_height = depthwise.window_width = shape.window;
    depthwise.stride_height = depthwise.stride_width = shape.stride;
    depthwise.pad_top = depthwise.pad_left = shape.pad;
    depthwise.activation = Activation::kRelu;
    block.out_height = (shape.height + 2 * shape.pad - shape.window) / shape.stride + 1;
    depthwise.out_width = (shape.width + 2 * shape.pad - shape.window) / shape.stride + 1;
    const Index rows = shape.images * block.out_height, pixels = rows * depthwise.out_width;
    const Values addend = Random(pixels * out, 8);
    block.x = x.data();
    Values y = addend;  // the result overwrites it
    block.y = y.data();
    if (adds) block.addend = y.data();
    for (Index part = parts; part-- > 0;) block.Run(rows * part / parts, rows * (part + 1) / parts);

    const Values expected = OneByOne(block, shape.images, addend);
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], expected[i], 1e-5F * largest)
          << shape.height << "x" << shape.width << "x" << in << " window " << shape.window << " stride "
          << shape.stride << " pad " << shape.pad << " parts " << parts << " at " << i;
    }
  }

 private:
  static Values OneByOne(const Bottleneck& block, Index images, const Values& addend) {
    DepthwiseImage depthwise = block.depthwise;
    Values expanded, middle, y;
    const float* x = block.x;
    if (block.expand.weights != nullptr) {
      x = Multiply(block.expand, x, images * depthwise.height * depthwise.width, nullptr, &expanded);
    }
    const Index row = depthwise.out_width * depthwise.channels;
    middle.resize(static_cast<std::size_t>(images * block.out_height * row));
    for (Index image = 0; image < images; ++image) {
      depthwise.x = x + image * depthwise.height * depthwise.width * depthwise.channels;
      depthwise.y = middle.data() + image * block.out_height * row;
      block.kernels->depthwise(depthwise, 0, block.out_height);
    }
    if (block.project.weights == nullptr) return middle;
    Multiply(block.project, middle.data(), images * block.out_height * depthwise.out_width,
             block.addend == nullptr ? nullptr : addend.data(), &y);
    return y;
  }

  static const float* Multiply(const PointwiseLayer& layer, const float* x, Index pixels, const float* addend,
                               Values* y) {
    y->resize(static_cast<std::size_t>(pixels * layer.weights->columns()));
    Gemm(layer.Problem(x, pixels, addend, y->data()), *layer.weights, 1, {});
    return y->data();
  }
};

TEST_P(BottleneckTest, EveryWindowInParts) {
  for (const Index window : {1, 2, 3, 5}) {
    for (const Index stride : {1, 2, 3}) {
      for (const Index pad : {Index{0}, window / 2, window}) {
        for (const Index parts : {1, 2, 5}) {
          Check({2, 11, 9, 7, 20, 5, window, stride, pad}, true, true, true, parts);
        }
      }
    }
  }
}

// Long rows: strips of a few rows, and of one.
TEST_P(BottleneckTest, RowsThatDoNotFitTogether) {
  Check({2, 33, 30, 8, 96, 12, 3, 1, 1}, true, true, true, 3);
  Check({1, 40, 40, 4, 250, 6, 5, 2, 2}, true, true, false, 1);
  Check({1, 7, 90, 3, 1700, 4, 3, 1, 1}, true, true, false, 2);
}

TEST_P(BottleneckTest, WithoutOneOfTheLayers) {
  for (const Index stride : {1, 2}) {
    Check({2, 37, 41, 6, 70, 10, 3, stride, 1}, true, false, false, 3);
    Check({2, 37, 41, 6, 70, 10, 3, stride, 1}, false, true, false, 3);
    Check({2, 37, 41, 6, 70, 10, 3, stride, 1}, false, true, true, 3);
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, BottleneckTest, testing::ValuesIn(AvailableIsas()),
                         [](const auto& tested) { return std::string(Name(tested.param)); });

}  // namespace
}  // namespace savedmodel::engine
