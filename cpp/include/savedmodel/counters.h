// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "savedmodel/error.h"
#include "savedmodel/export.h"

namespace savedmodel {

// What a function has done since it was made, of all its copies: Function::Counters. Successful calls are
// counted by how long they took, four buckets to each doubling.
struct SAVEDMODEL_API RunCounters {
  static constexpr std::size_t kBuckets = 133;

  std::string function;              // "signature 'serving_default'"
  std::vector<std::string> outputs;  // keys
  std::uint64_t successes = 0;
  std::array<std::uint64_t, 17> errors{};         // by Code
  std::array<std::uint64_t, kBuckets> latency{};  // successes by their time
  double total_seconds = 0;                       // of the successes

  std::uint64_t errors_in_all() const;
  std::uint64_t calls() const { return successes + errors_in_all(); }

  // Bucket i holds calls that took less than UpperBound(i) seconds, and not less than UpperBound(i - 1): from
  // 128 ns to 18 minutes, the last one without bound (infinity).
  static double UpperBound(std::size_t bucket);
  // The time in seconds within which `fraction` (0 to 1) of the successes ended, to within the width of a
  // bucket (a fifth); 0 without one. 0.99: the 99th percentile.
  double Quantile(double fraction) const;
};

}  // namespace savedmodel
