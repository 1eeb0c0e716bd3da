// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The counters behind RunCounters: relaxed atomics, two additions per call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "savedmodel/counters.h"
#include "savedmodel/error.h"

namespace savedmodel::internal {

class CallCounters {
 public:
  void Succeeded(std::uint64_t ticks);
  void Failed(Code code);
  void LeftQueue(std::uint64_t ticks);
  // Adds these counts to `counters`.
  void Read(RunCounters* counters) const;

 private:
  alignas(64) std::atomic<std::uint64_t> total_ns_{0};
  std::atomic<std::uint64_t> queued_{0}, queue_ns_{0};
  std::array<std::atomic<std::uint64_t>, RunCounters::kBuckets> latency_{};
  std::array<std::atomic<std::uint64_t>, 17> errors_{};
};

}  // namespace savedmodel::internal
