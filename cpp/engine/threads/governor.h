// SPDX-License-Identifier: Apache-2.0
// Gives way to other processes. The evidence is the time for which a thread wanted a core and had none;
// each finding takes one worker out, and a probe off the critical path tells when it may return.
#pragma once

#include <atomic>
#include <cstdint>

namespace savedmodel::engine {

// What the calling thread lost to others since it was asked last.
class LostTime {
 public:
  // Forgets what was before: the thread slept.
  void Restart(std::int64_t now);
  // True if a sample was due and says that the thread waits for a core a good part of its time.
  bool Contended(std::int64_t now);
  // The share of the time since `Restart` that was lost; 0 to 1.
  double Share(std::int64_t now) const;

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

class Governor {
 public:
  explicit Governor(int workers) : workers_(workers) {}

  // Workers that are to stay out of regions.
  int yielded() const { return yielded_.load(std::memory_order_relaxed); }
  // A thread found itself contended.
  void Yield(std::int64_t now);
  // True for one caller each time that it is worth a try to take workers back. Cheap.
  bool ProbeDue(std::int64_t now);
  void ProbeEnded(bool quiet, std::int64_t now);
  // The calls ended before it could tell.
  void ProbeStopped(std::int64_t now);

 private:
  static constexpr std::int64_t kNever = INT64_MAX;

  const int workers_;
  std::atomic<int> yielded_{0};
  std::atomic<std::int64_t> next_probe_{kNever};
  std::atomic<std::int64_t> last_yield_{0};
  std::atomic<std::int64_t> last_return_{0};
  std::atomic<std::int64_t> dwell_ns_{0};
  std::atomic<bool> spoiled_{false};
};

}  // namespace savedmodel::engine
