// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/vector_kernels.h"

#include "engine/kernels/simd/activation.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

void ActivateAll(Activation activation, float alpha, const float* x, std::int64_t count, float* y) {
  ActivateRows(activation, alpha, x, 1, count, 0, y);
}

// Combines a row's vectors, the last one padded with zeros.
template <typename Add>
inline void ForRow(const float* x, std::int64_t columns, const Add& add) {
  const std::int64_t whole = columns - columns % kLanes;
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= whole; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int chain = 0; chain < 4; ++chain) add(Load(x + i + chain * kLanes), chain, kLanes);
  }
  for (; i < whole; i += kLanes) add(Load(x + i), 0, kLanes);
  if (whole < columns) add(LoadSome(x + whole, columns - whole), 1, columns - whole);
}

inline float SumOf(const Vec (&sums)[4]) { return Sum((sums[0] + sums[1]) + (sums[2] + sums[3])); }

// The sum of all values gives a mean with an error of some units. The sum of the deviations from it gives
// that error, and the variance without it. A row of equal values gives zero.
void LayerNorm(const float* x, std::int64_t rows, std::int64_t columns, const float* gamma, const float* beta,
               float epsilon, float* y) {
  const std::int64_t whole = columns - columns % kLanes, rest = columns - whole;
  const auto count = static_cast<float>(columns);
  for (; rows > 0; --rows, x += columns, y += columns) {
    Vec sums[4] = {};
    ForRow(x, columns, [&](Vec value, int chain, std::int64_t) { sums[chain] += value; });
    const float mean = SumOf(sums) / count;
    Vec offs[4] = {}, squares[4] = {};
    ForRow(x, columns, [&](Vec value, int chain, std::int64_t valid) {
      Vec off = value - mean;
      if (valid < kLanes) off = FirstOf(off, valid);
      offs[chain] += off;
      squares[chain] += off * off;
    });
    const float error = SumOf(offs) / count;
    const float variance = SumOf(squares) / count - error * error;
    const float scale = 1.0F / __builtin_sqrtf((variance > 0 ? variance : variance * 0) + epsilon);
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      Store(y + i, (Load(x + i) - mean - error) * (scale * Load(gamma + i)) + Load(beta + i));
    }
    if (rest > 0) {
      const Vec off = LoadSome(x + whole, rest) - mean - error;
      StoreSome(y + whole, off * (scale * LoadSome(gamma + whole, rest)) + LoadSome(beta + whole, rest),
                rest);
    }
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
