// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "savedmodel/export.h"

namespace savedmodel {

// A service's own threads, for LoadOptions::thread_pool. Its methods may be called from any thread, including
// its own.
class SAVEDMODEL_API ThreadPool {
 public:
  virtual ~ThreadPool();
  // Runs `task` later in one of its threads, never in this call: the caller may hold a lock. Tasks do not
  // throw. A pool must destroy tasks that it can no longer run: a RunAsync then ends with kUnavailable, and a
  // kernel's work is done by the destroying thread. The same happens if this throws.
  virtual void Schedule(std::function<void()> task) = 0;
  // At least 1; does not change.
  virtual int NumThreads() const = 0;
  // 0 to NumThreads() - 1 in its threads, -1 in others.
  virtual int CurrentThreadId() const = 0;
};

}  // namespace savedmodel
