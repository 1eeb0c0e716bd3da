// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/vector_kernels.h"

#include "engine/kernels/simd/activation.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

constexpr int kPanelVectors = 4;
constexpr int kMostRows = kAccumulators / kPanelVectors;

// `Rows` rows by `Vectors` vectors of columns, kept in registers. Few of them are summed up in several
// chains, so that one addition need not wait for the one before.
template <int Rows, int Vectors>
void Block(const DenseProblem& problem, const float* x, const float* panel, std::int64_t column, float* y) {
  constexpr int kChains = Rows * Vectors >= 8 ? 1 : Rows * Vectors >= 4 ? 2 : 4;
  constexpr int kWidth = Vectors * kLanes;
  const std::int64_t depth = problem.depth;
  Vec sums[kChains][Rows][Vectors] = {};
  std::int64_t k = 0;
  for (; k + kChains <= depth; k += kChains) {
#pragma GCC unroll 8
    for (int c = 0; c < kChains; ++c) {
      const float* weights = panel + (k + c) * kWidth;
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const float value = x[r * depth + k + c];
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) sums[c][r][v] += value * Load(weights + v * kLanes);
      }
    }
  }
  for (; k < depth; ++k) {
    const float* weights = panel + k * kWidth;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sums[0][r][v] += x[r * depth + k] * Load(weights + v * kLanes);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Vec sum = sums[0][r][v];
#pragma GCC unroll 8
      for (int c = 1; c < kChains; ++c) sum += sums[c][r][v];
      const std::int64_t at = column + v * kLanes;
      const std::int64_t rest = problem.columns - at;
      float* out = y + r * problem.columns + at;
      if (rest >= kLanes) {
        Store(out, sum + Load(problem.bias + at));
      } else {
        StoreSome(out, sum + LoadSome(problem.bias + at, rest), rest);
      }
    }
  }
}

template <int Vectors>
void Panel(const DenseProblem& problem, const float* panel, std::int64_t column) {
  std::int64_t row = 0;
  const auto x = [&] { return problem.x + row * problem.depth; };
  const auto y = [&] { return problem.y + row * problem.columns; };
  for (; row + kMostRows <= problem.rows; row += kMostRows) {
    Block<kMostRows, Vectors>(problem, x(), panel, column, y());
  }
  for (; row + 2 <= problem.rows; row += 2) Block<2, Vectors>(problem, x(), panel, column, y());
  for (; row < problem.rows; ++row) Block<1, Vectors>(problem, x(), panel, column, y());
}

void Dense(const DenseProblem& problem) {
  const float* panel = problem.weights;
  for (std::int64_t column = 0; column < problem.columns; column += kPanelVectors * kLanes) {
    const std::int64_t vectors = (problem.columns - column + kLanes - 1) / kLanes;
    if (vectors >= 4) Panel<4>(problem, panel, column);
    if (vectors == 3) Panel<3>(problem, panel, column);
    if (vectors == 2) Panel<2>(problem, panel, column);
    if (vectors == 1) Panel<1>(problem, panel, column);
    panel += kPanelVectors * kLanes * problem.depth;
  }
  if (problem.activation != Activation::kNone) {
    ActivateAll(problem.activation, problem.leaky_slope, problem.y, problem.rows * problem.columns,
                problem.y);
  }
}

void LayerNorm(const float* x, std::int64_t rows, std::int64_t columns, const float* gamma, const float* beta,
               float epsilon, float* y) {
  const std::int64_t whole = columns - columns % kLanes;
  for (; rows > 0; --rows, x += columns, y += columns) {
    Vec sums = LoadSome(x + whole, columns - whole);
    for (std::int64_t i = 0; i < whole; i += kLanes) sums += Load(x + i);
    const float mean = Sum(sums) / static_cast<float>(columns);
    sums = Vec{};
    for (std::int64_t i = whole; i < columns; ++i) sums[i - whole] = (x[i] - mean) * (x[i] - mean);
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      const Vec off = Load(x + i) - mean;
      sums += off * off;
    }
    const float scale = 1.0F / __builtin_sqrtf(Sum(sums) / static_cast<float>(columns) + epsilon);
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      Store(y + i, (Load(x + i) - mean) * (scale * Load(gamma + i)) + Load(beta + i));
    }
    for (std::int64_t i = whole; i < columns; ++i) y[i] = (x[i] - mean) * (scale * gamma[i]) + beta[i];
  }
}

void Softmax(const float* x, std::int64_t rows, std::int64_t columns, float slope, float* y) {
  const std::int64_t whole = columns - columns % kLanes;
  for (; rows > 0; --rows, x += columns, y += columns) {
    Vec mosts = Broadcast(x[0]);
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      const Vec value = Load(x + i);
      mosts = value > mosts ? value : mosts;
    }
    float most = mosts[0];
    for (int i = 1; i < kLanes; ++i) most = mosts[i] > most ? mosts[i] : most;
    for (std::int64_t i = whole; i < columns; ++i) most = x[i] > most ? x[i] : most;
    Vec sums = {};
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      const Vec value = Exp((Load(x + i) - most) * slope);
      Store(y + i, value);
      sums += value;
    }
    float sum = Sum(sums);
    if (whole < columns) {
      const Vec value = Exp((LoadSome(x + whole, columns - whole) - most) * slope);
      StoreSome(y + whole, value, columns - whole);
      for (std::int64_t i = whole; i < columns; ++i) sum += value[i - whole];
    }
    const float scale = 1.0F / sum;
    for (std::int64_t i = 0; i < whole; i += kLanes) Store(y + i, Load(y + i) * scale);
    for (std::int64_t i = whole; i < columns; ++i) y[i] *= scale;
  }
}

}  // namespace

extern const VectorKernels kVectorKernels;
const VectorKernels kVectorKernels = {kLanes, kPanelVectors, Dense, ActivateAll, LayerNorm, Softmax};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
