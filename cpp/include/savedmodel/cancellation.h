// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "savedmodel/export.h"

namespace savedmodel {

// Stops runs from another thread: one run or many (RunOptions::cancellation). Thread-safe. Cancel may be
// called before, during and after the runs, and stays in effect.
class SAVEDMODEL_API Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // Active runs end with Error kCancelled, at their next op or within a long-running op of this library.
  // Later runs do not begin. Returns without waiting for them.
  void Cancel();
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }

  // Cancel calls `action` once; after a Cancel, this call does so at once. `action` must not be empty
  // (UsageError), must not throw and must not use this object. Returns the id for Forget.
  std::uint64_t OnCancel(std::function<void()> action);
  // When it returns, `action` is not running and will not be called.
  void Forget(std::uint64_t id);

 private:
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;  // held while actions run
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::function<void()>> actions_;
};

}  // namespace savedmodel
