// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "savedmodel/export.h"

namespace savedmodel {

// A service's own threads, for LoadOptions::thread_pool. What calls it may come from any thread, its own
// included.
class SAVEDMODEL_API ThreadPool {
 public:
  virtual ~ThreadPool();
  // Runs `task` some time in one of its threads: never in here, for the caller may hold a lock. Tasks do not
  // throw. A task that it can't run any more it destroys: a RunAsync among them ends with kUnavailable, work
  // of a kernel is done where it is destroyed. So it is if this throws.
  virtual void Schedule(std::function<void()> task) = 0;
  // At least 1; does not change.
  virtual int NumThreads() const = 0;
  // 0 to NumThreads() - 1 in its threads, -1 in others.
  virtual int CurrentThreadId() const = 0;
};

}  // namespace savedmodel
