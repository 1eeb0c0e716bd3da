// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/vector_kernels.h"

#include "engine/kernels/simd/activation.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

void ActivateAll(Activation activation, float leaky_slope, const float* x, std::int64_t count, float* y) {
  ActivateRows(activation, leaky_slope, x, 1, count, 0, y);
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

template <Arithmetic kind>
inline Vec Apply(Vec x, Vec value) {
  switch (kind) {
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
}

template <Arithmetic kind>
void CombineLoop(const float* x, std::int64_t rows, std::int64_t columns, const float* values, float* y) {
  const std::int64_t whole = columns - columns % kLanes, rest = columns - whole;
  for (; rows > 0; --rows, x += columns, y += columns) {
    for (std::int64_t i = 0; i < whole; i += kLanes) Store(y + i, Apply<kind>(Load(x + i), Load(values + i)));
    if (rest > 0)
      StoreSome(y + whole, Apply<kind>(LoadSome(x + whole, rest), LoadSome(values + whole, rest)), rest);
  }
}

void Combine(Arithmetic arithmetic, const float* x, std::int64_t rows, std::int64_t columns,
             const float* values, float* y) {
  switch (arithmetic) {
    case Arithmetic::kAdd:
      return CombineLoop<Arithmetic::kAdd>(x, rows, columns, values, y);
    case Arithmetic::kSubtract:
      return CombineLoop<Arithmetic::kSubtract>(x, rows, columns, values, y);
    case Arithmetic::kSubtractFrom:
      return CombineLoop<Arithmetic::kSubtractFrom>(x, rows, columns, values, y);
    case Arithmetic::kMultiply:
      return CombineLoop<Arithmetic::kMultiply>(x, rows, columns, values, y);
    case Arithmetic::kDivide:
      return CombineLoop<Arithmetic::kDivide>(x, rows, columns, values, y);
  }
}

void Softmax(const float* x, std::int64_t rows, std::int64_t columns, std::int64_t step, float slope,
             float* y) {
  const std::int64_t whole = columns - columns % kLanes;
  for (; rows > 0; --rows, x += step, y += step) {
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
const VectorKernels kVectorKernels = {ActivateAll, LayerNorm, Combine, Softmax};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
