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
  CallCounters() = default;
  ~CallCounters();
  CallCounters(const CallCounters&) = delete;
  CallCounters& operator=(const CallCounters&) = delete;

  void Succeeded(std::uint64_t ticks) { succeeded_.Add(ticks); }
  // Without memory for the code's durations, counts the call only.
  void Failed(Code code, std::uint64_t ticks) noexcept;
  void LeftQueue(std::uint64_t ticks);
  // Adds these counts to `counters`.
  void Read(RunCounters* counters) const;

 private:
  struct Durations {
    void Add(std::uint64_t ticks);
    void Read(std::array<std::uint64_t, RunCounters::kBuckets>* counts, double* seconds) const;

    std::atomic<std::uint64_t> total_ns{0};
    std::array<std::atomic<std::uint64_t>, RunCounters::kBuckets> latency{};
  };

  alignas(64) Durations succeeded_;
  std::atomic<std::uint64_t> queued_{0}, queue_ns_{0};
  std::array<std::atomic<std::uint64_t>, 17> errors_{};
  std::array<std::atomic<Durations*>, 17> failed_{};  // owned; null for codes that did not occur
};

}  // namespace savedmodel::internal
