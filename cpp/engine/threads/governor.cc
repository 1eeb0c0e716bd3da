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
constexpr int kTrialCalls = 4;
constexpr std::int64_t kTrialNs = 10 * kMs;
constexpr double kHopeless = 2;   // times as slow as spinning: not worth a second call
constexpr int kDwellTrials = 10;  // what a trial costs is a small part of the time
constexpr std::int64_t kLeastDwellNs = 50 * kMs;
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

void Governor::Found(std::int64_t now) {
  found_.store(true, std::memory_order_relaxed);
  if (phase() != 0) return;
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || phase() != 0) return;
  // Back within a second: it was never calm.
  if (now - last_calm_ > kMostDwellNs) {
    dwell_ns_ = kLeastDwellNs;
    yielded_ = std::max(1, workers_ / 4);
  }
  trial_begin_ = now;
  Try(kSpin, now);
}

void Governor::NewPhase(Mode mode, std::int64_t now) {
  mode_ = mode;
  phase_begin_ = now;
  calls_ = 0;
  total_ns_ = 0;
  found_ = false;
  phases_ = std::max<std::uint32_t>(1, phases_ + 1);
  phase_ = phases_;
}

void Governor::Try(Mode mode, std::int64_t now) {
  dwelling_ = false;
  mean_ns_[mode] = 0;
  NewPhase(mode, now);
}

void Governor::Learn(std::uint32_t phase, std::int64_t begin, std::int64_t now) {
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || phase != phase_.load() || phase == 0) return;
  if (dwelling_) {
    if (now - phase_begin_ < dwell_ns_) return;
    trial_begin_ = now;
    return Try(kSpin, now);
  }
  // The first call still has its threads where the last mode left them.
  if (++calls_ > 1) total_ns_ += now - begin;
  if (calls_ < 2) return;
  const Mode mode = mode_.load();
  const double mean = static_cast<double>(total_ns_) / (calls_ - 1);
  const bool hopeless = mode != kSpin && mean > kHopeless * mean_ns_[kSpin];
  if (!hopeless && (calls_ < kTrialCalls || now - phase_begin_ < kTrialNs)) return;
  mean_ns_[mode] = mean;
  if (mode == kNarrow) return Choose(now);
  if (mode == kSleep) return Try(kNarrow, now);
  if (found_) return Try(kSleep, now);
  last_calm_ = now;
  phase_ = 0;
}

void Governor::Choose(std::int64_t now) {
  const auto best = static_cast<Mode>(std::min_element(mean_ns_, mean_ns_ + 3) - mean_ns_);
  // The next trial is of still fewer workers, or of more.
  const int yielded = yielded_.load();
  yielded_ = best == kNarrow ? yielded : std::max(1, yielded / 2);
  if (best == kNarrow && dwell_ns_ > kLeastDwellNs) yielded_ = std::min(2 * yielded, std::max(1, workers_));
  const std::int64_t trial_ns = now - trial_begin_;
  dwell_ns_ = std::max(kDwellTrials * trial_ns, std::clamp(2 * dwell_ns_, kLeastDwellNs, kMostDwellNs));
  NewPhase(best, now);
  dwelling_ = true;
}

}  // namespace savedmodel::engine
