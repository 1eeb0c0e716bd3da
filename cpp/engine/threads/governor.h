// SPDX-License-Identifier: Apache-2.0
// Yields to other processes. The evidence is the time that a thread waited for a core; the best reaction is
// measured.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace savedmodel::engine {

// How long the calling thread waited for a core that others on this system used. Excludes time that a
// hypervisor takes, because yielding would not help.
class RunQueueDelay {
 public:
  // Restarts the measurement after the thread has slept.
  void Restart(std::int64_t now);
  // The length of a sample in which the thread waited for a core for a large part of its time; 0 if it did
  // not, or if no sample was due.
  std::int64_t Contended(std::int64_t now);

 private:
  std::int64_t begin_ = 0;
  std::int64_t waited_ns_ = -1;  // at begin_; negative: not read yet
};

// Chooses how a pool shares the cores. It stays calm until a thread finds contention. Then it tries the modes
// on real calls, one after the other, and keeps the fastest for a while.
class Governor {
 public:
  enum Mode {
    kSpin,    // all workers spin between regions: best without contention
    kSleep,   // all workers sleep between regions: a thread that slept gets a core soon
    kNarrow,  // fewer workers: best if a neighbour has one core and the caller another
  };

  explicit Governor(int workers) : workers_(workers) {}

  Mode mode() const { return mode_.load(std::memory_order_relaxed); }
  // Number of workers that must stay out of regions.
  int yielded() const { return mode() == kNarrow ? yielded_.load(std::memory_order_relaxed) : 0; }

  // Call when a thread found contention for the last `sample_ns`.
  void Found(std::int64_t now, std::int64_t sample_ns);
  // The phase in which a call begins; 0 while calm, when calls need not be timed.
  std::uint32_t phase() const { return phase_.load(std::memory_order_relaxed); }
  // Records a call; it counts if it began and ended in one phase.
  void Learn(std::uint32_t phase, std::int64_t begin, std::int64_t now);

 private:
  enum Stage {
    kTrial,  // tries one mode after the other
    kDwell,  // keeps the fastest
    kCheck,  // checks for calm: spins until a thread finds contention
  };
  void Begin(Stage stage, Mode mode, std::int64_t now);
  void Try(std::int64_t now, std::int64_t elapsed);
  void Dwell(std::int64_t now);
  void Calm(std::int64_t now);
  bool IsContended(std::int64_t now) const;

  const int workers_;
  std::atomic<Mode> mode_{kSpin};
  std::atomic<std::uint32_t> phase_{0};
  std::atomic<std::int64_t> found_ns_{0};  // in this phase, summed over all threads
  std::atomic<int> yielded_{1};

  std::mutex mutex_;  // guards the members below
  std::uint32_t phases_ = 0;
  Stage stage_ = kTrial;
  std::int64_t phase_begin_ = 0;
  std::int64_t trial_begin_ = 0;
  std::int64_t next_trial_ = 0;
  std::int64_t last_calm_ = 0;
  std::int64_t dwell_ns_ = 0;
  std::int64_t length_ns_ = 0;  // a mode's share of the next trial
  int calls_ = 0;               // that count
  std::int64_t total_ns_ = 0;
  double mean_ns_[3] = {0, 0, 0};  // mean duration of a call per mode; 0: unknown
};

}  // namespace savedmodel::engine
