// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/governor.h"

#include <sys/resource.h>

#include <algorithm>
#include <iterator>

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
// A mode's share of a trial. Others come and go in slices of milliseconds: a short trial is a lottery, but
// the first must not be long, for it may be a false alarm.
constexpr std::int64_t kLeastTrialNs = 10 * kMs;
constexpr std::int64_t kMostTrialNs = 80 * kMs;
constexpr double kNewest = 0.5;  // the weight of the last trial in a mode's mean
constexpr double kHopeless = 2;  // times as slow as spinning: not worth a second call
constexpr int kTrialEvery = 40;  // times its own length: what a trial costs is a small part of the time
constexpr std::int64_t kLeastDwellNs = 50 * kMs;
constexpr std::int64_t kMostDwellNs = 2000 * kMs;

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
  // Back so soon: it was never calm, and what was found still holds.
  if (now - last_calm_ < kMostDwellNs && mean_ns_[kNarrow] > 0) return Dwell(now);
  dwell_ns_ = kLeastDwellNs / 2;
  yielded_ = std::max(1, workers_ / 4);
  length_ns_ = kLeastTrialNs;
  std::fill(std::begin(mean_ns_), std::end(mean_ns_), 0);
  Begin(kTrial, kSpin, now);
  trial_begin_ = now;
}

void Governor::Begin(Stage stage, Mode mode, std::int64_t now) {
  stage_ = stage;
  mode_ = mode;
  phase_begin_ = now;
  calls_ = 0;
  total_ns_ = 0;
  found_ = false;
  phases_ = std::max<std::uint32_t>(1, phases_ + 1);
  phase_ = phases_;
}

void Governor::Dwell(std::int64_t now) {
  dwell_ns_ = std::clamp(2 * dwell_ns_, kLeastDwellNs, kMostDwellNs);
  Begin(kDwell, static_cast<Mode>(std::min_element(mean_ns_, mean_ns_ + 3) - mean_ns_), now);
}

void Governor::Calm(std::int64_t now) {
  last_calm_ = now;
  mode_ = kSpin;
  phase_ = 0;
}

void Governor::Learn(std::uint32_t phase, std::int64_t begin, std::int64_t now) {
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || phase != phase_.load() || phase == 0) return;
  // The first call still has its threads where the last mode left them.
  if (++calls_ > 1) total_ns_ += now - begin;
  const std::int64_t elapsed = now - phase_begin_;
  switch (stage_) {
    case kDwell:
      if (elapsed < dwell_ns_) return;
      if (now < next_trial_) return Begin(kCheck, kSpin, now);
      trial_begin_ = now;
      return Begin(kTrial, kSpin, now);
    case kCheck:
      if (found_) return Dwell(now);
      if (calls_ >= kTrialCalls && elapsed >= kLeastTrialNs) Calm(now);
      return;
    case kTrial:
      if (calls_ >= 2) Try(now);
  }
}

void Governor::Try(std::int64_t now) {
  const Mode mode = mode_.load();
  const double mean = static_cast<double>(total_ns_) / (calls_ - 1);
  const bool hopeless = mode != kSpin && mean > kHopeless * mean_ns_[kSpin];
  if (!hopeless && (calls_ < kTrialCalls || now - phase_begin_ < length_ns_)) return;
  double& known = mean_ns_[mode];
  known = known == 0 ? mean : known + kNewest * (mean - known);
  if (mode == kSpin) return found_ ? Begin(kTrial, kSleep, now) : Calm(now);
  if (mode == kSleep) return Begin(kTrial, kNarrow, now);

  Dwell(now);
  length_ns_ = std::min(2 * length_ns_, kMostTrialNs);
  next_trial_ = now + kTrialEvery * (now - trial_begin_);
  // The next trial is of still fewer workers, or of more.
  const int yielded = yielded_.load();
  yielded_ = mode_ == kNarrow ? std::min(2 * yielded, std::max(1, workers_)) : std::max(1, yielded / 2);
}

}  // namespace savedmodel::engine
