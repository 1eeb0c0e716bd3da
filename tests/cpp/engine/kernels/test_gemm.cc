// SPDX-License-Identifier: Apache-2.0
// The loops of every instruction set of this machine, compared with sums in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/kernels/gemm.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "tests/cpp/random_values.h"

namespace savedmodel::engine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kSlope = 0.3F;

const Activation kActivations[] = {
    Activation::kNone,      Activation::kRelu,      Activation::kRelu6,           Activation::kLeakyRelu,
    Activation::kElu,       Activation::kTanh,      Activation::kSigmoid,         Activation::kSwish,
    Activation::kHardSwish, Activation::kGeluExact, Activation::kGeluApproximate,
};

double Expected(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kRelu6:
      return std::min(std::max(x, 0.0), 6.0);
    case Activation::kLeakyRelu:
      return x > 0 ? x : x * static_cast<double>(kSlope);
    case Activation::kElu:
      return x < 0 ? std::expm1(x) : x;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kSwish:
      return x / (1 + std::exp(-x));
    case Activation::kHardSwish:
      return x * (std::min(std::max(x + 3, 0.0), 6.0) / 6);
    case Activation::kGeluExact:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluApproximate:
      return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
  }
  return x;
}

class VectorKernelsTest : public testing::TestWithParam<Isa> {
 protected:
  std::vector<float> Dense(const std::vector<float>& x, const std::vector<float>& weights, bool transposed,
                           const std::vector<float>& bias, std::int64_t rows, std::int64_t depth,
                           Activation activation) {
    const auto columns = static_cast<std::int64_t>(bias.size());
    const PackedWeights packed(GemmKernelOf(GetParam()), weights.data(), transposed, depth, columns);
    // One more element, to detect writes past the end.
    std::vector<float> y(static_cast<std::size_t>(rows * columns + 1), -7.5F);
    const GemmProblem problem{{x.data(), depth}, rows,    bias.data(), nullptr,
                              y.data(),          columns, activation,  kSlope};
    Gemm(problem, packed, 1, nullptr);
    EXPECT_EQ(y.back(), -7.5F);
    y.pop_back();
    return y;
  }

  void CheckDense(std::int64_t rows, std::int64_t depth, std::int64_t columns, bool transposed,
                  Activation activation) {
    const auto x = Random(rows * depth, 1);
    const auto weights = Random(depth * columns, 2);
    const auto bias = Random(columns, 3);
    const auto y = Dense(x, weights, transposed, bias, rows, depth, activation);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        double sum = static_cast<double>(bias[static_cast<std::size_t>(j)]);
        double scale = std::abs(sum) + 1;
        for (std::int64_t k = 0; k < depth; ++k) {
          const std::int64_t at = transposed ? j * depth + k : k * columns + j;
          const double term = static_cast<double>(x[static_cast<std::size_t>(i * depth + k)]) *
                              static_cast<double>(weights[static_cast<std::size_t>(at)]);
          sum += term;
          scale += std::abs(term);
        }
        ASSERT_NEAR(static_cast<double>(y[static_cast<std::size_t>(i * columns + j)]),
                    Expected(activation, sum), 1e-6 * scale)
            << rows << "x" << depth << "x" << columns << " at " << i << ", " << j;
      }
    }
  }

  const VectorKernels& kernels_ = VectorKernelsOf(GetParam());
};

TEST_P(VectorKernelsTest, DenseOfEveryTail) {
  for (const std::int64_t rows : {0, 1, 2, 3, 5, 6, 7, 13}) {
    for (const std::int64_t depth : {0, 1, 2, 3, 4, 5, 17, 64}) {
      for (std::int64_t columns = 1; columns <= 70; ++columns) {
        CheckDense(rows, depth, columns, columns % 2 == 0, Activation::kNone);
      }
    }
  }
}

TEST_P(VectorKernelsTest, CombinesRowsInPlace) {
  const auto expected = [](Arithmetic arithmetic, float x, float value) {
    switch (arithmetic) {
      case Arithmetic::kAdd:
        return x + value;
      case Arithmetic::kSubtract:
        return x - value;
      case Arithmetic::kSubtractFrom:
        return value - x;
      case Arithmetic::kMultiply:
        return x * value;
      case Arithmetic::kDivide:
        return x / value;
    }
    return 0.0F;
  };
  for (const Arithmetic arithmetic : {Arithmetic::kAdd, Arithmetic::kSubtract, Arithmetic::kSubtractFrom,
                                      Arithmetic::kMultiply, Arithmetic::kDivide}) {
    for (const std::int64_t columns : {1, 8, 16, 31, 48}) {
      const auto x = Random(5 * columns, 5), values = Random(columns, 6);
      auto y = x;
      kernels_.combine(arithmetic, y.data(), 5, columns, values.data(), y.data());
      for (std::size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y[i], expected(arithmetic, x[i], values[i % static_cast<std::size_t>(columns)])) << columns;
      }
    }
  }
}

TEST_P(VectorKernelsTest, DenseOfManyPanels) {
  CheckDense(1, 300, 260, false, Activation::kRelu);
  CheckDense(20, 300, 131, true, Activation::kNone);
}

// Several blocks of depth and of rows, in parts in any order, over the addend itself.
TEST_P(VectorKernelsTest, GemmInPlaceInParts) {
  struct Shape {
    std::int64_t rows, depth, columns;
  };
  for (const Shape& s :
       {Shape{300, 2100, 70}, Shape{5, 1024, 333}, Shape{1200, 24, 24}, Shape{130, 3072, 37}}) {
    const auto x = Random(s.rows * s.depth, 1), weights = Random(s.depth * s.columns, 2);
    const auto bias = Random(s.columns, 3), addend = Random(s.rows * s.columns, 4);
    auto y = addend;
    int calls = 0;
    const ForParts run = [&](std::int64_t count, double, const auto& work) {
      for (std::int64_t i = count; i-- > 0; ++calls) work(i, i + 1);
    };
    const PackedWeights packed(GemmKernelOf(GetParam()), weights.data(), false, s.depth, s.columns, run);
    EXPECT_EQ(calls, (s.depth + 1023) / 1024 * packed.panels());
    calls = 0;
    const GemmProblem problem{{x.data(), s.depth}, s.rows, bias.data(), y.data(), y.data(), s.columns,
                              Activation::kRelu,   0};
    Gemm(problem, packed, 3, run);
    EXPECT_GT(calls, 2);
    for (std::int64_t i = 0; i < s.rows; i += 7) {
      for (std::int64_t j = 0; j < s.columns; ++j) {
        const auto at = static_cast<std::size_t>(i * s.columns + j);
        double sum = static_cast<double>(bias[static_cast<std::size_t>(j)] + addend[at]), scale = 1;
        for (std::int64_t k = 0; k < s.depth; ++k) {
          const double term = static_cast<double>(x[static_cast<std::size_t>(i * s.depth + k)]) *
                              static_cast<double>(weights[static_cast<std::size_t>(k * s.columns + j)]);
          sum += term;
          scale += std::abs(term);
        }
        ASSERT_NEAR(static_cast<double>(y[at]), std::max(sum, 0.0), 1e-6 * scale) << i << ", " << j;
      }
    }
  }
}

TEST_P(VectorKernelsTest, LongProductsLookWhetherToStop) {
  const std::int64_t rows = 700, depth = 700, columns = 700;
  const auto x = Random(rows * depth, 1), weights = Random(depth * columns, 2);
  const PackedWeights packed(GemmKernelOf(GetParam()), weights.data(), false, depth, columns);
  std::vector<float> y(static_cast<std::size_t>(rows * columns), 7);
  const Stop stop([](void*) { return true; }, &y);
  GemmProblem problem{{x.data(), depth}, rows, nullptr, nullptr, y.data(), columns};
  problem.stop = &stop;
  EXPECT_TRUE(TakesLong(problem, packed));
  Gemm(problem, packed, 1, nullptr);
  EXPECT_EQ(y, std::vector<float>(y.size(), 7));
}

TEST_P(VectorKernelsTest, DenseWithEveryActivation) {
  for (const Activation activation : kActivations) CheckDense(3, 5, 21, false, activation);
}

TEST_P(VectorKernelsTest, NanAndInfinityPropagate) {
  for (const Activation activation : kActivations) {
    const std::vector<float> x = {1, kNan, 1, kInf, 1, 1};  // rows of two
    const std::vector<float> weights(2 * 19, 1.0F);
    const std::vector<float> bias(19, 0.5F);
    const auto y = Dense(x, weights, false, bias, 3, 2, activation);
    for (std::size_t j = 0; j < 19; ++j) {
      EXPECT_TRUE(std::isnan(y[j])) << static_cast<int>(activation);
      EXPECT_NEAR(static_cast<double>(y[38 + j]), Expected(activation, 2.5), 1e-6);
      const double limit = Expected(activation, std::numeric_limits<double>::infinity());
      EXPECT_EQ(static_cast<double>(y[19 + j]), limit) << static_cast<int>(activation);
    }
  }
}

// The distance of `value` from `exact` in units in the last place of floats; subnormal values may be zero.
double Units(float value, double exact) {
  constexpr double kMin = std::numeric_limits<float>::min();
  if (std::abs(exact) < kMin) return std::abs(static_cast<double>(value)) <= kMin ? 0 : 1e9;
  return std::abs(static_cast<double>(value) - exact) / std::ldexp(1.0, std::ilogb(exact) - 23);
}

TEST_P(VectorKernelsTest, ActivationsHoldRelativeToTheResultInTheTailsToo) {
  std::vector<float> x;
  for (float size = 1.2e-38F; size < 3e38F; size *= 1.01F) x.insert(x.end(), {size, -size});
  for (float value = -110; value < 110; value += 0.0037F) x.push_back(value);
  std::vector<float> y(x.size());
  for (const Activation activation : kActivations) {
    kernels_.activate(activation, kSlope, x.data(), static_cast<std::int64_t>(x.size()), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_LE(Units(y[i], Expected(activation, static_cast<double>(x[i]))), 4)
          << static_cast<int>(activation) << " of " << x[i];
    }
  }
}

TEST_P(VectorKernelsTest, SoftmaxHoldsRelativeToSmallResults) {
  constexpr std::int64_t kColumns = 77;
  std::vector<float> x(kColumns), y(kColumns);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = 3 - 1.125F * static_cast<float>(i);
    sum += std::exp(static_cast<double>(x[i]));
  }
  kernels_.softmax(x.data(), 1, kColumns, kColumns, 1, y.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_LE(Units(y[i], std::exp(static_cast<double>(x[i])) / sum), 5) << x[i];
  }
}

TEST_P(VectorKernelsTest, LayerNormAndSoftmax) {
  for (const std::int64_t columns : {1, 2, 7, 15, 16, 17, 33, 256, 300}) {
    const auto n = static_cast<std::size_t>(columns);
    const auto x = Random(3 * columns, 4);
    const auto gamma = Random(columns, 5);
    const auto beta = Random(columns, 6);
    std::vector<float> norm(3 * n);
    std::vector<float> soft(3 * n);
    kernels_.layer_norm(x.data(), 3, columns, gamma.data(), beta.data(), 1e-3F, norm.data());
    kernels_.softmax(x.data(), 3, columns, columns, 0.7F, soft.data());
    for (std::size_t r = 0; r < 3; ++r) {
      double mean = 0;
      double variance = 0;
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) mean += static_cast<double>(x[r * n + i]) / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i) {
        variance += std::pow(static_cast<double>(x[r * n + i]) - mean, 2) / static_cast<double>(n);
        sum += std::exp(0.7 * static_cast<double>(x[r * n + i]));
      }
      for (std::size_t i = 0; i < n; ++i) {
        const auto value = static_cast<double>(x[r * n + i]);
        EXPECT_NEAR(static_cast<double>(norm[r * n + i]),
                    (value - mean) / std::sqrt(variance + 1e-3) * static_cast<double>(gamma[i]) +
                        static_cast<double>(beta[i]),
                    1e-5);
        EXPECT_NEAR(static_cast<double>(soft[r * n + i]), std::exp(0.7 * value) / sum, 1e-6);
      }
    }
  }
}

// Far from zero, where the mean's own error would be larger than the deviations from it.
TEST_P(VectorKernelsTest, LayerNormOfRowsFarFromZero) {
  for (const std::int64_t columns : {5, 33, 768, 1000}) {
    const auto n = static_cast<std::size_t>(columns);
    const auto gamma = Random(columns, 5), beta = Random(columns, 6);
    auto x = Random(2 * columns, 4);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = 3.7F;
      x[n + i] += 1000;
    }
    std::vector<float> y(2 * n);
    kernels_.layer_norm(x.data(), 2, columns, gamma.data(), beta.data(), 1e-3F, y.data());
    double mean = 0, variance = 0;
    for (std::size_t i = n; i < 2 * n; ++i) mean += static_cast<double>(x[i]) / static_cast<double>(n);
    for (std::size_t i = n; i < 2 * n; ++i)
      variance += std::pow(static_cast<double>(x[i]) - mean, 2) / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_EQ(y[i], beta[i]) << columns;
      const double off = (static_cast<double>(x[n + i]) - mean) / std::sqrt(variance + 1e-3);
      EXPECT_NEAR(static_cast<double>(y[n + i]),
                  off * static_cast<double>(gamma[i]) + static_cast<double>(beta[i]), 5e-6)
          << columns;
    }
  }
}

TEST_P(VectorKernelsTest, SoftmaxOfNanIsNan) {
  std::vector<float> x(37, 1.0F);
  for (const std::size_t at : {std::size_t{0}, std::size_t{20}, std::size_t{36}}) {
    auto y = x;
    y[at] = kNan;
    kernels_.softmax(y.data(), 1, 37, 37, 1, y.data());
    for (const float value : y) EXPECT_TRUE(std::isnan(value)) << at;
  }
  x[5] = -kInf;  // as masks do
  kernels_.softmax(x.data(), 1, 37, 37, 1, x.data());
  EXPECT_EQ(x[5], 0);
  EXPECT_NEAR(static_cast<double>(x[36]), 1.0 / 36, 1e-7);
}

float Rounded(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000U;
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

// Sums of products of rounded factors; only the factors are rounded.
void CheckBfloat16(const GemmKernel& kernel, std::int64_t rows, std::int64_t depth, std::int64_t columns,
                   bool transposed, std::int64_t stride) {
  const auto x = Random(rows * depth * stride, 1), weights = Random(depth * columns, 2);
  const auto bias = Random(columns, 3), addend = Random(rows * columns, 4);
  auto y = addend;
  const PackedWeights packed(kernel, weights.data(), transposed, depth, columns);
  GemmProblem problem{{x.data(), depth * stride}, rows, bias.data(), y.data(), y.data(), columns,
                      Activation::kRelu,          0};
  if (stride > 1) {
    problem.a.rows_per_line = rows;
    problem.a.line_stride = rows * depth * stride;
  }
  Gemm(problem, packed, 1, nullptr);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto out = static_cast<std::size_t>(i * columns + j);
      double sum = static_cast<double>(bias[static_cast<std::size_t>(j)]) + static_cast<double>(addend[out]);
      double scale = std::abs(sum) + 1;
      for (std::int64_t k = 0; k < depth; ++k) {
        const std::int64_t at = transposed ? j * depth + k : k * columns + j;
        const double term =
            static_cast<double>(Rounded(x[static_cast<std::size_t>(i * depth * stride + k)])) *
            static_cast<double>(Rounded(weights[static_cast<std::size_t>(at)]));
        sum += term;
        scale += std::abs(term);
      }
      ASSERT_NEAR(static_cast<double>(y[out]), std::max(sum, 0.0), 1e-6 * scale)
          << rows << "x" << depth << "x" << columns << " at " << i << ", " << j;
    }
  }
}

TEST(Bfloat16, ProductsOfEveryTail) {
  const GemmKernel* kernel = Bfloat16GemmKernel();
  if (kernel == nullptr) GTEST_SKIP() << "this CPU has no instructions for bfloat16";
  for (const std::int64_t rows : {1, 3, 14, 29}) {
    for (const std::int64_t depth : {0, 1, 2, 7, 16, 31, 32, 33, 47, 64, 150}) {
      for (const std::int64_t columns : {1, 15, 16, 24, 32, 33, 70}) {
        CheckBfloat16(*kernel, rows, depth, columns, columns % 2 == 0, 1 + depth % 2);
      }
    }
  }
  CheckBfloat16(*kernel, 40, 5001, 70, false, 1);
  CheckBfloat16(*kernel, 300, 2100, 20, true, 1);
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, VectorKernelsTest, testing::ValuesIn(AvailableIsas()),
                         [](const auto& tested) { return std::string(Name(tested.param)); });

}  // namespace
}  // namespace savedmodel::engine
