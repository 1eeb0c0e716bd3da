// SPDX-License-Identifier: Apache-2.0
// Gives way to other processes. The evidence is the time for which a thread wanted a core and had none;
// what to do about it is measured.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace savedmodel::engine {

// What the calling thread lost to others since it was asked last.
class LostTime {
 public:
  // Forgets what was before: the thread slept.
  void Restart(std::int64_t now);
  // True if a sample was due and says that the thread waits for a core a good part of its time.
  bool Contended(std::int64_t now);

 private:
  struct Usage {
    std::int64_t cpu_ns = 0;
    std::int64_t voluntary = 0;    // switches: it waited for something
    std::int64_t involuntary = 0;  // switches: it was preempted
  };
  static Usage Read();

  std::int64_t begin_ = 0;
  Usage at_begin_;
  double seen_ns_ = 0;  // decaying sums
  double lost_ns_ = 0;
};

// Chooses how a pool shares the cores. Calm until a thread finds itself contended; then the modes are tried
// on real calls, one after the other, and the fastest is kept for a while.
class Governor {
 public:
  enum Mode {
    kSpin,    // all workers, spinning between regions: best alone
    kSleep,   // all workers, asleep between regions: a thread that slept is given a core soon
    kNarrow,  // fewer workers: best where a neighbour has one core, and the caller another
  };

  explicit Governor(int workers) : workers_(workers) {}

  Mode mode() const { return mode_.load(std::memory_order_relaxed); }
  // Workers that are to stay out of regions.
  int yielded() const { return mode() == kNarrow ? yielded_.load(std::memory_order_relaxed) : 0; }

  // A thread found itself contended.
  void Found(std::int64_t now);
  // Which phase a call begins in; 0 while calm, when calls need not be timed.
  std::uint32_t phase() const { return phase_.load(std::memory_order_relaxed); }
  // A call that began and ended in one phase.
  void Learn(std::uint32_t phase, std::int64_t begin, std::int64_t now);

 private:
  enum Stage {
    kTrial,  // of one mode after the other
    kDwell,  // in the fastest
    kCheck,  // whether it is calm: spinning until a thread finds otherwise
  };
  void Begin(Stage stage, Mode mode, std::int64_t now);
  void Try(std::int64_t now);
  void Dwell(std::int64_t now);
  void Calm(std::int64_t now);

  const int workers_;
  std::atomic<Mode> mode_{kSpin};
  std::atomic<std::uint32_t> phase_{0};
  std::atomic<bool> found_{false};  // in this phase
  std::atomic<int> yielded_{1};

  std::mutex mutex_;  // guards what follows
  std::uint32_t phases_ = 0;
  Stage stage_ = kTrial;
  std::int64_t phase_begin_ = 0;
  std::int64_t trial_begin_ = 0;
  std::int64_t next_trial_ = 0;
  std::int64_t last_calm_ = 0;
  std::int64_t dwell_ns_ = 0;
  std::int64_t length_ns_ = 0;  // of a mode's share of the next trial
  int calls_ = 0;
  std::int64_t total_ns_ = 0;
  double mean_ns_[3] = {0, 0, 0};  // of a call; 0: not known yet
};

}  // namespace savedmodel::engine
