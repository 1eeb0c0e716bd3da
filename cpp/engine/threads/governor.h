// SPDX-License-Identifier: Apache-2.0
// Gives way to other processes. The evidence is the time for which a thread wanted a core and had none;
// what to do about it is measured.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace savedmodel::engine {

// For how long the calling thread waited for a core, while others of this system had it. What a hypervisor
// takes is not in it: giving way would not help.
class RunQueueDelay {
 public:
  // Forgets what was before: the thread slept.
  void Restart(std::int64_t now);
  // The length of a sample that says that the thread waits for a core a good part of its time; 0 if it does
  // not, or none was due.
  std::int64_t Contended(std::int64_t now);

 private:
  std::int64_t begin_ = 0;
  std::int64_t waited_ns_ = -1;  // at begin_; negative: not read yet
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

  // A thread found itself contended for the last `sample_ns`.
  void Found(std::int64_t now, std::int64_t sample_ns);
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
  void Try(std::int64_t now, std::int64_t elapsed);
  void Dwell(std::int64_t now);
  void Calm(std::int64_t now);
  bool IsContended(std::int64_t now) const;

  const int workers_;
  std::atomic<Mode> mode_{kSpin};
  std::atomic<std::uint32_t> phase_{0};
  std::atomic<std::int64_t> found_ns_{0};  // in this phase, of all threads
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
  int calls_ = 0;               // that count
  std::int64_t total_ns_ = 0;
  double mean_ns_[3] = {0, 0, 0};  // of a call; 0: not known yet
};

}  // namespace savedmodel::engine
