// SPDX-License-Identifier: Apache-2.0
// Types shared by the two ways to recognise a step: with whole products, and gate by gate.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/optimize/recurrent/step.h"

namespace savedmodel::engine {

inline constexpr std::int64_t kToTheEnd = -1;

// A part of the columns of a matrix: number `part` of `parts` equal ones, or [begin, end) if `parts` is 0.
struct StepMatcher::Columns {
  bool Are(int gate, int gates, std::int64_t units) const {
    if (parts != 0) return part == gate && parts == gates;
    return begin == gate * units && (end == (gate + 1) * units || (end == kToTheEnd && gate == gates - 1));
  }
  Value matrix;
  int part = 0, parts = 0;
  std::int64_t begin = 0, end = 0;
};

struct StepMatcher::Bias {
  bool operator==(const Bias& other) const { return weight == other.weight && row == other.row; }
  Weight weight;
  int row = -1;  // of two; -1: the weight itself
};

// x * kernel + state * recurrent + bias; any of them may be missing.
struct StepMatcher::Linear {
  Value x;
  std::optional<Weight> kernel;
  Value recurrent;  // a weight, or columns of one
  std::vector<Bias> bias;
};

// The sums of the gates. The state's part of the candidate is a product, `h`, which the reset gate scales;
// or, with reset before, a product of the scaled state with the weights `h`.
struct StepMatcher::GruParts {
  Value update, reset, x, h;
  bool reset_after;
};

bool IsFloatProduct(const Value& value);  // of matrices as they are

}  // namespace savedmodel::engine
