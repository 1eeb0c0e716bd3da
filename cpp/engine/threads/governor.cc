// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/governor.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>

namespace savedmodel::engine {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSampleNs = 4 * kMs;   // asking the kernel costs 5 us; a time slice is 3 ms
constexpr std::int64_t kStaleNs = 100 * kMs;  // an older start says nothing about the present
constexpr double kContended = 0.15;           // of the wall time
constexpr double kLasting = 0.5;              // share of a trial or a check, to exclude brief processes
constexpr int kTrialCalls = 3;
// A mode's share of a trial. Other processes run in slices of milliseconds, so a short trial is unreliable.
// The first must be short all the same, as it may be a false alarm.
constexpr std::int64_t kMinTrialNs = 10 * kMs;
constexpr std::int64_t kMaxTrialNs = 80 * kMs;
constexpr std::int64_t kLongNs = 100 * kMs;   // one call is enough
constexpr std::int64_t kSettleNs = 40 * kMs;  // time for the system to move threads to idle cores
constexpr double kNewest = 0.5;               // the weight of the last trial in a mode's mean
constexpr double kHopeless = 2;               // this many times slower than spinning: not worth a second call
constexpr int kTrialEvery = 40;  // in trial lengths, so that trials cost a small part of the time
constexpr std::int64_t kMinDwellNs = 50 * kMs;
constexpr std::int64_t kMaxDwellNs = 500 * kMs;  // then follows a check of two samples
constexpr std::int64_t kRecentNs = 2000 * kMs;

// How long the calling thread has waited for a core since it began, by the scheduler's count; negative if
// unknown. Opens the file each time, because a service may have closed all files that it did not open.
std::int64_t WaitedNs() {
  const int file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  std::array<char, 64> text{};
  const ssize_t size = read(file, text.data(), text.size() - 1);
  close(file);
  long long ran = 0;
  long long waited = -1;
  if (size <= 0 || std::sscanf(text.data(), "%lld %lld", &ran, &waited) != 2) return -1;
  return waited;
}

}  // namespace

void RunQueueDelay::Restart(std::int64_t now) {
  begin_ = now;
  waited_ns_ = -1;
}

std::int64_t RunQueueDelay::Contended(std::int64_t now) {
  const std::int64_t wall = now - begin_;
  if (wall < kSampleNs) return 0;
  const std::int64_t before = waited_ns_;
  begin_ = now;
  waited_ns_ = WaitedNs();
  if (before < 0 || wall > kStaleNs) return 0;
  return static_cast<double>(waited_ns_ - before) >= kContended * static_cast<double>(wall) ? wall : 0;
}

// A brief process is no reason to try another mode.
bool Governor::IsContended(std::int64_t now) const {
  return static_cast<double>(found_ns_.load(std::memory_order_relaxed)) >=
         kLasting * static_cast<double>(std::max(now - phase_begin_, kMinTrialNs));
}

void Governor::Found(std::int64_t now, std::int64_t sample_ns) {
  found_ns_.fetch_add(sample_ns, std::memory_order_relaxed);
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  if (phase() != 0) {
    // Dwell at once, because the call may be long.
    if (stage_ == kCheck && IsContended(now)) Dwell(now);
    return;
  }
  // Contention soon after calm: if it lasts, the measured times of the modes still hold.
  if (now - last_calm_ < kRecentNs && mean_ns_[kNarrow] > 0) return Begin(kCheck, kSpin, now);
  dwell_ns_ = kMinDwellNs / 2;
  yielded_ = std::max(1, workers_ / 4);
  length_ns_ = kMinTrialNs;
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
  found_ns_ = 0;
  phases_ = std::max<std::uint32_t>(1, phases_ + 1);
  phase_ = phases_;
}

void Governor::Dwell(std::int64_t now) {
  dwell_ns_ = std::clamp(2 * dwell_ns_, kMinDwellNs, kMaxDwellNs);
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
  // At first, threads are still on the cores of the last mode.
  const std::int64_t settle_ns = stage_ == kTrial && mode() != kSpin ? kSettleNs : 1;
  if (begin - phase_begin_ >= settle_ns) {
    ++calls_;
    total_ns_ += now - begin;
  }
  const std::int64_t elapsed = now - phase_begin_;
  switch (stage_) {
    case kDwell:
      if (elapsed < dwell_ns_) return;
      if (now < next_trial_) return Begin(kCheck, kSpin, now);
      trial_begin_ = now;
      return Begin(kTrial, kSpin, now);
    case kCheck:
      if (elapsed >= kMinTrialNs && (calls_ >= kTrialCalls || elapsed >= kLongNs)) Calm(now);
      return;
    case kTrial:
      if (calls_ > 0) Try(now, elapsed - settle_ns);
  }
}

void Governor::Try(std::int64_t now, std::int64_t elapsed) {
  const Mode mode = mode_.load();
  const double mean = static_cast<double>(total_ns_) / calls_;
  const bool hopeless = mode != kSpin && mean > kHopeless * mean_ns_[kSpin];
  const bool enough = elapsed >= length_ns_ && (calls_ >= kTrialCalls || elapsed >= kLongNs);
  if (!hopeless && !enough) return;
  double& known = mean_ns_[mode];
  known = known == 0 ? mean : known + kNewest * (mean - known);
  if (mode == kSpin) return IsContended(now) ? Begin(kTrial, kSleep, now) : Calm(now);
  if (mode == kSleep) return Begin(kTrial, kNarrow, now);

  Dwell(now);
  length_ns_ = std::min(2 * length_ns_, kMaxTrialNs);
  next_trial_ = now + kTrialEvery * (now - trial_begin_);
  // The next trial uses even fewer workers, or more.
  const int yielded = yielded_.load();
  yielded_ = mode_ == kNarrow ? std::min(2 * yielded, std::max(1, workers_)) : std::max(1, yielded / 2);
}

}  // namespace savedmodel::engine
