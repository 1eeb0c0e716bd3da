// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/governor.h"

#include <sys/resource.h>

#include <algorithm>

namespace savedmodel::engine {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSampleNs = 2 * kMs;   // asking the kernel costs 0.3 us
constexpr std::int64_t kStaleNs = 100 * kMs;  // an older begin tells nothing of now
constexpr double kEnoughNs = 4 * kMs;         // two time slices
constexpr double kContended = 0.15;
constexpr double kMemory = 0.6;               // of a sum, per sample
constexpr std::int64_t kSliceNs = 1'500'000;  // about what one preemption costs
constexpr std::int64_t kYieldEveryNs = 4 * kMs;
constexpr std::int64_t kLeastDwellNs = 20 * kMs;
constexpr std::int64_t kMostDwellNs = 1000 * kMs;

std::int64_t Nanoseconds(const timeval& time) {
  return (static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_usec) * 1000;
}

}  // namespace

LostTime::Usage LostTime::Read() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return {Nanoseconds(usage.ru_utime) + Nanoseconds(usage.ru_stime), usage.ru_nvcsw, usage.ru_nivcsw};
}

void LostTime::Restart(std::int64_t now) {
  begin_ = now;
  at_begin_ = Read();
}

double LostTime::Share(std::int64_t now) const {
  const auto wall = static_cast<double>(now - begin_);
  return wall <= 0 ? 0 : 1 - static_cast<double>(Read().cpu_ns - at_begin_.cpu_ns) / wall;
}

bool LostTime::Contended(std::int64_t now) {
  const std::int64_t wall = now - begin_;
  if (wall < kSampleNs) return false;
  const Usage usage = Read();
  const Usage before = at_begin_;
  begin_ = now;
  at_begin_ = usage;
  if (wall > kStaleNs) {
    seen_ns_ = lost_ns_ = 0;
    return false;
  }
  // A thread that waited of its own accord lost at most what it was preempted for.
  std::int64_t lost = std::max<std::int64_t>(0, wall - (usage.cpu_ns - before.cpu_ns));
  if (usage.voluntary != before.voluntary) {
    lost = std::min(lost, kSliceNs * (usage.involuntary - before.involuntary));
  }
  seen_ns_ = seen_ns_ * kMemory + static_cast<double>(wall);
  lost_ns_ = lost_ns_ * kMemory + static_cast<double>(lost);
  if (seen_ns_ < kEnoughNs || lost_ns_ < kContended * seen_ns_) return false;
  seen_ns_ = lost_ns_ = 0;
  return true;
}

void Governor::Yield(std::int64_t now) {
  spoiled_.store(true, std::memory_order_relaxed);
  std::int64_t last = last_yield_.load(std::memory_order_relaxed);
  // One at a time: the next finding must have seen what this one changed.
  if (now - last < kYieldEveryNs || !last_yield_.compare_exchange_strong(last, now)) return;
  const int yielded = yielded_.load();
  if (yielded >= workers_) return;
  const bool again = now - last_return_.load() < kMostDwellNs;
  dwell_ns_ = again ? std::clamp(2 * dwell_ns_.load(), kLeastDwellNs, kMostDwellNs) : kLeastDwellNs;
  yielded_ = yielded + 1;
  next_probe_ = now + dwell_ns_;
}

bool Governor::ProbeDue(std::int64_t now) {
  std::int64_t due = next_probe_.load(std::memory_order_relaxed);
  if (now < due || !next_probe_.compare_exchange_strong(due, kNever)) return false;
  spoiled_ = false;
  return true;
}

void Governor::ProbeEnded(bool quiet, std::int64_t now) {
  if (!quiet || spoiled_.load()) {
    dwell_ns_ = std::min(2 * dwell_ns_.load(), kMostDwellNs);
    next_probe_ = now + dwell_ns_;
    return;
  }
  const int left = yielded_.load() / 2;
  yielded_ = left;
  last_return_ = now;
  if (left > 0) next_probe_ = now + kYieldEveryNs;
}

void Governor::ProbeStopped(std::int64_t now) { next_probe_ = now + dwell_ns_; }

}  // namespace savedmodel::engine
