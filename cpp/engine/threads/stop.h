// SPDX-License-Identifier: Apache-2.0
// How work that takes long learns that its run shall end: the run was cancelled, its deadline has passed, its
// model is being closed, or its caller is interrupted. Knows nothing of TensorFlow.
#pragma once

#include <atomic>
#include <cstdint>

namespace savedmodel::engine {

// Work that takes longer looks after every piece of about this length.
constexpr double kNsBetweenLooks = 2e6;

// A run, in the thread that makes it, for as long as it lasts.
class RunningCall {
 public:
  using InterruptCheck = bool (*)();
  // `check` is the calling thread's (savedmodel/interrupt.h), or null.
  explicit RunningCall(InterruptCheck check) : outer_(of_thread_), check_(check) {
    of_thread_ = check == nullptr ? nullptr : this;
  }
  ~RunningCall() { of_thread_ = outer_; }
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;

  // The innermost one of the calling thread that has an InterruptCheck, or null.
  static RunningCall* OfThread() { return of_thread_; }

  // In any thread; in the run's own it asks the InterruptCheck when it is time to, else reads a clock.
  bool IsInterrupted() { return this == of_thread_ ? Ask() : interrupted(); }
  bool interrupted() const { return interrupted_.load(std::memory_order_relaxed); }

 private:
  bool Ask();

  static thread_local RunningCall* of_thread_;
  RunningCall* const outer_;
  const InterruptCheck check_;
  std::int64_t next_ns_ = 0;
  std::atomic<bool> interrupted_{false};
};

class Stop {
 public:
  using IsCancelled = bool (*)(void* source);
  Stop() = default;  // never
  // In the thread that makes the run; may then be asked in any.
  Stop(IsCancelled is_cancelled, void* source)
      : is_cancelled_(is_cancelled), source_(source), call_(RunningCall::OfThread()) {}

  bool operator()() const {
    return (source_ != nullptr && is_cancelled_(source_)) || (call_ != nullptr && call_->IsInterrupted());
  }

 private:
  IsCancelled is_cancelled_ = nullptr;
  void* source_ = nullptr;
  RunningCall* call_ = nullptr;
};

// Whether there is someone to ask, who says so.
inline bool IsStopped(const Stop* stop) { return stop != nullptr && (*stop)(); }

}  // namespace savedmodel::engine
