// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "savedmodel/error.h"
#include "savedmodel/export.h"

namespace savedmodel {

// The calls of a function and all its copies since it was made: Function::Counters. Latencies are counted in
// buckets, four for each doubling.
struct SAVEDMODEL_API RunCounters {
  static constexpr std::size_t kBuckets = 133;
  struct Failures {
    std::array<std::uint64_t, kBuckets> latency{};
    double total_seconds = 0;
  };

  std::string function;              // "signature 'serving_default'"
  std::string signature;             // its name; empty for other functions
  std::vector<std::string> outputs;  // keys
  std::uint64_t successes = 0;
  std::array<std::uint64_t, 17> errors{};         // by Code
  std::array<std::uint64_t, kBuckets> latency{};  // successes by latency
  double total_seconds = 0;                       // of the successes
  std::map<Code, Failures> failures;              // of which there were any
  std::uint64_t queued = 0;                       // calls of RunAsync that left the queue
  double queue_seconds = 0;                       // that they were in it

  std::uint64_t errors_in_all() const;
  std::uint64_t calls() const { return successes + errors_in_all(); }

  // Bucket i holds calls that took at least UpperBound(i - 1) and less than UpperBound(i) seconds: from 128
  // ns to 18 minutes. The last bucket has no bound (infinity).
  static double UpperBound(std::size_t bucket);
  // The latency in seconds within which `fraction` (0 to 1) of the successes ended, to within a bucket's
  // width (a fifth). 0 without successes. Quantile(0.99) is the 99th percentile.
  double Quantile(double fraction) const;
};

}  // namespace savedmodel
