// SPDX-License-Identifier: Apache-2.0
// Products of int8 in every variant of this machine, compared with plain sums of the same integers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/gemm.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "tests/cpp/random_values.h"

namespace savedmodel::engine {

void PrintTo(const NamedGemmKernel& kernel, std::ostream* out) { *out << kernel.name; }

namespace {

using Index = std::int64_t;
using Values = std::vector<float>;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kMin = std::numeric_limits<float>::min();
constexpr float kUntouched = -7.5F;

double At(const Values& values, Index i) { return static_cast<double>(values[static_cast<std::size_t>(i)]); }

int Nearest(float x) { return static_cast<int>(std::nearbyint(x)); }  // to even

// A block of a row, as the kernels round it: x is nearly scale * numbers.
struct RoundedRow {
  RoundedRow(const float* x, Index count) {
    float high = 0, low = 0;
    for (Index k = 0; k < count; ++k) {
      high = std::max(high, x[k]);
      low = std::min(low, x[k]);
    }
    const double width = static_cast<double>(high) - static_cast<double>(low);
    scale = static_cast<float>(width / 255);
    float inverse = static_cast<float>(255 / width);
    if (scale < kMin) scale = inverse = 0;
    const int zero = Nearest(-low * inverse);
    for (Index k = 0; k < count; ++k) {
      const int number = std::clamp(Nearest(x[k] * inverse) + zero, 0, 255);
      numbers.push_back(number - zero);
    }
  }
  float scale;
  std::vector<int> numbers;
};

// A column of weights.
struct RoundedColumn {
  RoundedColumn(const float* w, Index depth, Index stride) {
    float most = 0;
    for (Index k = 0; k < depth; ++k) most = std::max(most, std::abs(w[k * stride]));
    scale = most / 127;
    if (scale < kMin) scale = 0;
    const float inverse = scale > 0 ? 1 / scale : 0;
    for (Index k = 0; k < depth; ++k) numbers.push_back(Nearest(w[k * stride] * inverse));
  }
  float scale;
  std::vector<int> numbers;
};

// A product and its expected result. Weights are [depth, columns], or [columns, depth] if transposed.
struct Case {
  Index rows, depth, columns;
  bool transposed = false;
  Values x = {}, weights = {}, bias = {}, addend = {};

  const float* Column(Index j) const { return weights.data() + (transposed ? j * depth : j); }
  Index Stride() const { return transposed ? 1 : columns; }

  PackedWeights Pack(const GemmKernel& kernel, const ForParts& run = RunHere) const {
    return PackedWeights(kernel, weights.data(), transposed, depth, columns, run);
  }

  // The result, over the addend if there is one.
  Values Run(const GemmKernel& kernel, Activation activation = Activation::kNone, int threads = 1,
             const ForParts& run = RunHere) const {
    Values y = addend;
    y.resize(static_cast<std::size_t>(rows * columns + 1), kUntouched);
    y.back() = kUntouched;
    const PackedWeights packed = Pack(kernel, run);
    GemmProblem problem{{x.data(), depth}, rows, nullptr, nullptr, y.data(), columns, activation, 0.3F};
    if (!bias.empty()) problem.bias = bias.data();
    if (!addend.empty()) problem.addend = y.data();
    Gemm(problem, packed, threads, run);
    EXPECT_EQ(y.back(), kUntouched);
    y.pop_back();
    return y;
  }

  // Expects the sums of the rounded numbers, but for the rounding of a few additions in float32.
  void Check(const Values& y, Index depth_block) const {
    std::vector<RoundedColumn> rounded;
    for (Index j = 0; j < columns; ++j) rounded.emplace_back(Column(j), depth, Stride());
    for (Index i = 0; i < rows; ++i) {
      std::vector<double> sums(static_cast<std::size_t>(columns)), sizes(sums);
      for (Index j = 0; j < columns; ++j) {
        const auto at = static_cast<std::size_t>(j);
        if (!bias.empty()) sums[at] += At(bias, j);
        if (!addend.empty()) sums[at] += At(addend, i * columns + j);
        sizes[at] = (bias.empty() ? 0 : std::abs(At(bias, j))) + std::abs(sums[at]);
      }
      for (Index begin = 0; begin < depth; begin += depth_block) {
        const Index count = std::min(depth_block, depth - begin);
        const RoundedRow row(x.data() + i * depth + begin, count);
        for (Index j = 0; j < columns; ++j) {
          const auto at = static_cast<std::size_t>(j);
          Index sum = 0;
          const int* w = rounded[at].numbers.data() + begin;
          for (Index k = 0; k < count; ++k) sum += row.numbers[static_cast<std::size_t>(k)] * w[k];
          const double value = static_cast<double>(sum) * static_cast<double>(row.scale) *
                               static_cast<double>(rounded[at].scale);
          sums[at] += value;
          sizes[at] += std::abs(value);
        }
      }
      for (Index j = 0; j < columns; ++j) {
        const auto at = static_cast<std::size_t>(j);
        ASSERT_NEAR(At(y, i * columns + j), sums[at], 4 * std::ldexp(sizes[at], -24))
            << rows << "x" << depth << "x" << columns << " at " << i << ", " << j;
      }
    }
  }
};

Index DepthBlock(const GemmKernel& kernel, const Case& c) {
  return c.Pack(kernel).depth_block() * kernel.numbers;
}

Case RandomCase(Index rows, Index depth, Index columns, bool transposed) {
  Case c{rows, depth, columns, transposed};
  c.x = Random(rows * depth, 1);
  c.weights = Random(depth * columns, 2);
  c.bias = Random(columns, 3);
  c.addend = Random(rows * columns, 4);
  return c;
}

// Values that are powers of two times integers that rounding keeps, so results are exact.
Case ExactCase(Index rows, Index depth, Index columns, bool transposed) {
  Case c{rows, depth, columns, transposed};
  std::mt19937 random(static_cast<unsigned>(rows * 7919 + depth * 31 + columns));
  const auto number = [&](int low, int high) {
    return static_cast<float>(std::uniform_int_distribution<int>(low, high)(random));
  };
  for (Index i = 0; i < rows; ++i) {
    const int low = std::uniform_int_distribution<int>(-255, 0)(random);
    const float scale = std::ldexp(1.0F, static_cast<int>(i % 5) - 2);
    const auto first = c.x.size();
    for (Index k = 0; k < depth; ++k) c.x.push_back(scale * number(low, low + 255));
    if (depth > 0)
      c.x[first + static_cast<std::size_t>(depth - 1) / 2] = scale * static_cast<float>(low + 255);
    if (depth > 0) c.x.back() = scale * static_cast<float>(depth > 1 ? low : 255);
  }
  c.weights.resize(static_cast<std::size_t>(depth * columns));
  for (Index j = 0; j < columns; ++j) {
    const float scale = std::ldexp(1.0F, static_cast<int>(j % 7) - 3);
    float* const w = c.weights.data() + (c.Column(j) - c.weights.data());
    for (Index k = 0; k < depth; ++k) w[k * c.Stride()] = scale * number(-127, 127);
    if (depth > 0) w[j % depth * c.Stride()] = scale * (j % 2 == 0 ? 127 : -127);
    c.bias.push_back(scale * number(-999, 999));
  }
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j)
      c.addend.push_back(std::ldexp(number(-999, 999), static_cast<int>(j % 7) - 5));
  }
  return c;
}

class Int8GemmTest : public testing::TestWithParam<NamedGemmKernel> {
 protected:
  const GemmKernel& kernel() const { return *GetParam().kernel; }

  void CheckExact(const Case& c) {
    const Values y = c.Run(kernel(), Activation::kRelu);
    for (Index i = 0; i < c.rows; ++i) {
      for (Index j = 0; j < c.columns; ++j) {
        double sum = At(c.bias, j) + At(c.addend, i * c.columns + j);
        for (Index k = 0; k < c.depth; ++k) {
          sum += At(c.x, i * c.depth + k) * static_cast<double>(c.Column(j)[k * c.Stride()]);
        }
        ASSERT_EQ(static_cast<double>(static_cast<float>(sum)), sum) << "the test needs smaller numbers";
        ASSERT_EQ(At(y, i * c.columns + j), std::max(sum, 0.0))
            << c.rows << "x" << c.depth << "x" << c.columns << " at " << i << ", " << j;
      }
    }
  }

  void CheckRandom(Index rows, Index depth, Index columns, bool transposed) {
    const Case c = RandomCase(rows, depth, columns, transposed);
    c.Check(c.Run(kernel()), DepthBlock(kernel(), c));
  }
};

TEST_P(Int8GemmTest, ExactProductsOfEveryTail) {
  for (const Index rows : {0, 1, 2, 3, 5, 6, 7, 13, 14, 15, 29}) {
    for (const Index depth : {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 150}) {
      for (const Index columns : {1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 70}) {
        CheckExact(ExactCase(rows, depth, columns, (rows + depth) % 2 == 0));
      }
    }
  }
}

TEST_P(Int8GemmTest, NoColumns) {
  const Case c{3, 5, 0, false, Random(15, 1), {}, {}, {}};
  EXPECT_TRUE(c.Run(kernel()).empty());
}

// Pairs of such products leave the range of int16, and a block's sum that of float's integers.
TEST_P(Int8GemmTest, LargestSums) {
  for (const float sign : {1.0F, -1.0F}) {
    for (const float weight : {127.0F, -127.0F}) {
      for (const Index depth : {2, 2048, 5001}) {
        Case c{3, depth, 19};
        c.x.assign(static_cast<std::size_t>(3 * depth), sign * 255);
        c.weights.assign(static_cast<std::size_t>(19 * depth), weight);
        const Values y = c.Run(kernel());
        const Index block = DepthBlock(kernel(), c);
        float expected = 0;
        for (Index begin = 0; begin < depth; begin += block) {
          expected += sign * weight * 255 * static_cast<float>(std::min(block, depth - begin));
        }
        EXPECT_EQ(y, Values(3 * 19, expected)) << depth;
      }
    }
  }
}

// A zero point in the middle, with numbers at both ends of the range.
TEST_P(Int8GemmTest, LargestSumsOfBothSigns) {
  constexpr Index kDepth = 1000, kColumns = 33;
  Case c{1, kDepth, kColumns};
  Index sum = 0;
  for (Index k = 0; k < kDepth; ++k) {
    const int x = k % 2 == 0 ? 128 : -127;
    c.x.push_back(static_cast<float>(x));
    c.weights.insert(c.weights.end(), kColumns, k % 2 == 0 ? 127.0F : -127.0F);
    sum += x * (k % 2 == 0 ? 127 : -127);
  }
  EXPECT_EQ(c.Run(kernel()), Values(kColumns, static_cast<float>(sum)));
}

TEST_P(Int8GemmTest, HalvesAreRoundedToEven) {
  Case c{1, 512, 1};
  for (int i = 0; i < 512; ++i) c.x.push_back(static_cast<float>(i - 200) / 2);  // -100 to 155.5
  c.x.back() = 155;
  for (std::size_t at = 0; at < c.x.size(); ++at) {
    c.weights.assign(512, 0.0F);
    c.weights[at] = 127;
    ASSERT_EQ(c.Run(kernel())[0], 127 * std::nearbyint(c.x[at])) << c.x[at];
  }
}

// Both ends are rounded away from zero, to 256 steps: the upper one has to give way.
TEST_P(Int8GemmTest, HalvesAtBothEnds) {
  Case c{1, 2, 2};
  c.x = {127.5F, -127.5F};
  c.weights = {1, 0, 0, 1};
  const Values y = c.Run(kernel());
  EXPECT_FLOAT_EQ(y[0], 127);
  EXPECT_FLOAT_EQ(y[1], -128);
}

TEST_P(Int8GemmTest, RandomProducts) {
  for (const Index rows : {1, 2, 14, 40}) {
    for (const Index depth : {1, 3, 50, 129}) {
      for (const Index columns : {1, 20, 67}) CheckRandom(rows, depth, columns, columns % 2 == 0);
    }
  }
  CheckRandom(300, 60, 37, false);
}

TEST_P(Int8GemmTest, SeveralBlocksOfDepth) {
  CheckRandom(5, 2047, 35, true);
  CheckRandom(5, 2049, 35, false);
  CheckRandom(3, 5001, 40, false);
  CheckRandom(70, 4500, 20, true);
}

// A block of depth has the same numbers in all variants, or they would round differently.
TEST_P(Int8GemmTest, BlocksOfDepthAreThoseOfAllVariants) {
  for (const Index depth : {0, 1, 63, 64, 65, 2047, 2048, 2049, 4096, 5001, 10000}) {
    const Case c = RandomCase(1, depth, 1, false);
    const Index block = DepthBlock(kernel(), c);
    EXPECT_EQ(block, DepthBlock(*Int8GemmKernels().front().kernel, c)) << depth;
    EXPECT_LE(block, 2048);
  }
}

TEST_P(Int8GemmTest, PartsInAnyOrder) {
  for (const Case& c : {RandomCase(300, 100, 70, false), RandomCase(3, 2100, 333, true)}) {
    int calls = 0;
    const ForParts run = [&](Index count, double, const auto& work) {
      for (Index i = count; i-- > 0; ++calls) work(i, i + 1);
    };
    c.Check(c.Run(kernel(), Activation::kNone, 3, run), DepthBlock(kernel(), c));
    EXPECT_GT(calls, 6);
  }
}

// Every other pixel of images, as a convolution with a stride reads them.
TEST_P(Int8GemmTest, StridedRows) {
  constexpr Index kImages = 2, kLines = 3, kPixels = 4, kChannels = 21, kColumns = 18;
  constexpr Index kLine = 2 * kPixels * kChannels, kImage = 2 * kLines * kLine;
  Case c = RandomCase(kImages * kLines * kPixels, kChannels, kColumns, false);
  c.addend.clear();
  Values images(kImages * kImage, kNan);
  for (Index i = 0; i < c.rows; ++i) {
    const Index image = i / kPixels / kLines, line = i / kPixels % kLines, pixel = i % kPixels;
    std::copy_n(c.x.begin() + i * kChannels, kChannels,
                images.begin() + image * kImage + line * 2 * kLine + pixel * 2 * kChannels);
  }
  Values y(static_cast<std::size_t>(c.rows * kColumns));
  const PackedWeights packed = c.Pack(kernel());
  GemmProblem problem{{images.data(), 2 * kChannels, kPixels, 2 * kLine, kLines, kImage},
                      c.rows,
                      c.bias.data(),
                      nullptr,
                      y.data(),
                      kColumns};
  Gemm(problem, packed, 1, nullptr);
  c.Check(y, packed.depth_block() * kernel().numbers);
}

TEST_P(Int8GemmTest, EveryActivation) {
  const Case c = RandomCase(5, 30, 21, false);
  const Values before = c.Run(kernel());
  for (const Activation activation :
       {Activation::kRelu, Activation::kRelu6, Activation::kLeakyRelu, Activation::kElu, Activation::kTanh,
        Activation::kSigmoid, Activation::kSwish, Activation::kHardSwish, Activation::kGeluExact,
        Activation::kGeluApproximate}) {
    const Values after = c.Run(kernel(), activation);
    Values expected(before.size());
    VectorKernelsOf(Isa::kGeneric)
        .activate(activation, 0.3F, before.data(), static_cast<Index>(before.size()), expected.data());
    for (std::size_t i = 0; i < before.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(after[i]), static_cast<double>(expected[i]),
                  1e-6 * (1 + std::abs(static_cast<double>(before[i]))))
          << static_cast<int>(activation);
    }
  }
}

// The error is at most a step of the row's scale and half a step of the column's, for each factor.
TEST_P(Int8GemmTest, ErrorsAreThoseOfTheRounding) {
  const Case c = RandomCase(20, 700, 40, false);
  const Values y = c.Run(kernel());
  double error = 0;
  for (Index i = 0; i < c.rows; ++i) {
    const double row = static_cast<double>(RoundedRow(c.x.data() + i * c.depth, c.depth).scale);
    for (Index j = 0; j < c.columns; ++j) {
      const double column = static_cast<double>(RoundedColumn(c.Column(j), c.depth, c.Stride()).scale);
      double sum = At(c.bias, j) + At(c.addend, i * c.columns + j), bound = 1e-4;
      for (Index k = 0; k < c.depth; ++k) {
        const double x = At(c.x, i * c.depth + k), w = static_cast<double>(c.Column(j)[k * c.Stride()]);
        sum += x * w;
        bound += std::abs(w) * row + (std::abs(x) + row) * column / 2;
      }
      const double off = std::abs(At(y, i * c.columns + j) - sum);
      ASSERT_LE(off, bound);
      error += off * off;
    }
  }
  // Independent roundings cancel: the root of the mean is far below the bound, but it is not zero.
  error = std::sqrt(error / static_cast<double>(c.rows * c.columns));
  EXPECT_LT(error, 0.5);
  EXPECT_GT(error, 0.05);
}

TEST_P(Int8GemmTest, RowsWithoutANumberAreNan) {
  for (const Index depth : {1, 5, 16, 40, 100, 2100}) {
    for (const float value : {kNan, kInf, -kInf}) {
      for (const Index at : {Index{0}, depth / 3, depth / 2, depth - 1}) {
        Case c = RandomCase(3, depth, 17, false);
        const Values before = c.Run(kernel(), Activation::kRelu);
        c.x[static_cast<std::size_t>(depth + at)] = value;
        const Values y = c.Run(kernel(), Activation::kRelu);
        for (std::size_t i = 0; i < y.size(); ++i) {
          if (i / 17 == 1) {
            ASSERT_TRUE(std::isnan(y[i])) << depth << " with " << value << " at " << at;
          } else {
            ASSERT_EQ(y[i], before[i]);
          }
        }
      }
    }
  }
}

TEST_P(Int8GemmTest, RowsAndColumnsOfZerosAddNothing) {
  for (const Index depth : {1, 33, 2100}) {
    Case c = RandomCase(3, depth, 35, false);
    std::fill_n(c.x.begin() + depth, depth, -0.0F);
    for (Index k = 0; k < depth; ++k) c.weights[static_cast<std::size_t>(k * 35 + 4)] = 0;
    const Values y = c.Run(kernel());
    for (Index j = 0; j < 35; ++j) {
      const float bias = c.bias[static_cast<std::size_t>(j)];
      ASSERT_EQ(y[static_cast<std::size_t>(35 + j)], c.addend[static_cast<std::size_t>(35 + j)] + bias) << j;
    }
    ASSERT_EQ(y[4], c.addend[4] + c.bias[4]);
    ASSERT_NE(y[5], c.addend[5] + c.bias[5]);
    c.Check(y, DepthBlock(kernel(), c));
  }
}

// Neither the difference of a row's ends nor the inverse of a scale is an infinity.
TEST_P(Int8GemmTest, LargestAndLeastFloats) {
  constexpr float kMax = std::numeric_limits<float>::max();
  Case c{5, 2, 2};
  c.x = {kMax, -kMax, 1e-30F, -3e-31F, 1e-40F, -1e-40F, kMin, 0, 255 * kMin, 0};
  c.weights = {1e-30F, 1e-41F, 2e-30F, 1e-41F};
  const Values y = c.Run(kernel());
  EXPECT_NEAR(static_cast<double>(y[0]), -3.4028e8, 5e6);
  for (std::size_t i = 1; i < y.size(); ++i) EXPECT_EQ(y[i], 0) << i;
  c.weights = {1, 1e30F, 1, 1e30F};
  const Values large = c.Run(kernel());
  EXPECT_NEAR(static_cast<double>(large[2]), 7e-31, 1e-32);
  EXPECT_NEAR(static_cast<double>(large[3]), 0.7, 1e-2);
  for (const std::size_t i : {4, 6}) EXPECT_EQ(large[i], 0) << "treated as zeros";
  EXPECT_FLOAT_EQ(large[8], 255 * kMin);
}

TEST_P(Int8GemmTest, OnlyFiniteWeightsHaveAScale) {
  const Case c = RandomCase(4, 9, 37, false);
  const Values before = c.Run(kernel());
  EXPECT_TRUE(AllFinite(c.weights.data(), 9 * 37));
  EXPECT_TRUE(AllFinite(nullptr, 0));
  for (const float value : {kNan, -kNan, kInf, -kInf}) {
    for (const bool transposed : {false, true}) {
      Case d = c;
      d.transposed = transposed;
      for (Index j = 0; j < 37; ++j) {
        for (Index k = 0; k < 9; ++k) {
          d.weights[static_cast<std::size_t>(transposed ? j * 9 + k : k * 37 + j)] = c.Column(j)[k * 37];
        }
      }
      d.weights[static_cast<std::size_t>(transposed ? 20 * 9 + 3 : 3 * 37 + 20)] = value;
      EXPECT_FALSE(AllFinite(d.weights.data(), 9 * 37));
      const Values y = d.Run(kernel());
      for (std::size_t i = 0; i < y.size(); ++i) {
        if (i % 37 == 20) {
          ASSERT_TRUE(std::isnan(y[i])) << value;
        } else {
          ASSERT_EQ(y[i], before[i]);
        }
      }
    }
  }
}

TEST_P(Int8GemmTest, LongProductsLookWhetherToStop) {
  const Case c = RandomCase(700, 700, 700, false);
  const PackedWeights packed = c.Pack(kernel());
  Values y(700 * 700, 7);
  const Stop stop([](void*) { return true; }, &y);
  GemmProblem problem{{c.x.data(), 700}, 700, nullptr, nullptr, y.data(), 700};
  problem.stop = &stop;
  EXPECT_TRUE(TakesLong(problem, packed));
  Gemm(problem, packed, 1, nullptr);
  EXPECT_EQ(y, Values(y.size(), 7));
}

TEST_P(Int8GemmTest, ScalesAndSumsOfColumns) {
  Case c{1, 3, 2};
  c.weights = {127, -1, -30, 2, 5, -127};
  const PackedWeights packed = c.Pack(kernel());
  EXPECT_EQ(packed.Scales(0)[0], 1);
  EXPECT_EQ(packed.Sums(0, 0)[0], 102);
  EXPECT_EQ(packed.Sums(0, 0)[1], -126);
  const PackedWeights floats = c.Pack(GemmKernelOf(BestIsa()));
  EXPECT_EQ(floats.Scales(0), nullptr);
  EXPECT_EQ(floats.Sums(0, 0), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Variants, Int8GemmTest, testing::ValuesIn(Int8GemmKernels()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(Int8Gemm, TheFastestVariantIsTheLast) {
  EXPECT_EQ(Int8GemmKernel(), Int8GemmKernels().back().kernel);
  EXPECT_EQ(std::string(Int8GemmKernels().front().name), "generic");
  EXPECT_GE(Int8GemmKernels().size(), AvailableIsas().size() - 1);
}

}  // namespace
}  // namespace savedmodel::engine
