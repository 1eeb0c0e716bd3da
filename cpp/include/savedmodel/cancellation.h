// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "savedmodel/export.h"

namespace savedmodel {

// Stops runs from another thread: RunOptions::cancellation of one run, or of many. Thread-safe; Cancel may be
// called before, during and after the runs, and stays in force.
class SAVEDMODEL_API Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // Runs that are going on end with Error kCancelled, at their next op or within a long one of ours; later
  // ones do not begin. Returns without waiting for them.
  void Cancel();
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }

  // `action`, a function (UsageError), is called once, by Cancel, or here if that has been called. It must
  // not throw, nor use this object. Returns what Forget takes.
  std::uint64_t OnCancel(std::function<void()> action);
  // After it `action` is not running, and will not.
  void Forget(std::uint64_t id);

 private:
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;  // held while actions run
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::function<void()>> actions_;
};

}  // namespace savedmodel
