// SPDX-License-Identifier: Apache-2.0
// Tells long-running work that its run must end: the run was cancelled, its deadline has passed, its model is
// being closed, or its caller is interrupted. Independent of TensorFlow.
#pragma once

#include <atomic>
#include <cstdint>

namespace savedmodel::engine {

// Work that takes longer checks after every piece of about this length.
constexpr double kNsBetweenLooks = 2e6;

// A run in its own thread, for as long as it lasts.
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

  // Callable in any thread. In the run's own thread it calls the InterruptCheck when due; elsewhere it reads
  // a clock.
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
  // Construct it in the run's thread; then any thread may call it.
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

// True if there is a `stop` and it reports a stop.
inline bool IsStopped(const Stop* stop) { return stop != nullptr && (*stop)(); }

}  // namespace savedmodel::engine
