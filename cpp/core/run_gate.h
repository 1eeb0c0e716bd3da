// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Admits calls until it is closed; closing waits for the calls inside. Entering takes no lock.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace savedmodel::internal {

class RunGate {
 public:
  // Returns false once closed.
  bool Enter() {
    if ((state_.fetch_add(1, std::memory_order_acq_rel) & kClosed) == 0) return true;
    Leave();
    return false;
  }
  void Leave() {
    // A waiter can exist only after Shut().
    if ((state_.fetch_sub(1, std::memory_order_acq_rel) & kClosed) != 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      empty_.notify_all();
    }
  }
  bool closed() const { return (state_.load(std::memory_order_acquire) & kClosed) != 0; }
  // Refuses new entries.
  void Shut() { state_.fetch_or(kClosed, std::memory_order_acq_rel); }
  // After Shut().
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    empty_.wait(lock, [this] { return calls() == 0; });
  }
  // Returns true once at most `inside` are left.
  bool WaitFor(double seconds, std::uint64_t inside = 0) {
    std::unique_lock<std::mutex> lock(mutex_);
    return empty_.wait_for(lock, std::chrono::duration<double>(seconds),
                           [this, inside] { return calls() <= inside; });
  }

 private:
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;
  std::uint64_t calls() const { return state_.load(std::memory_order_acquire) & ~kClosed; }

  alignas(64) std::atomic<std::uint64_t> state_{0};
  std::mutex mutex_;
  std::condition_variable empty_;
};

}  // namespace savedmodel::internal
