// SPDX-License-Identifier: Apache-2.0
// ForkJoin behind the interface through which TensorFlow, oneDNN and Eigen hand out work.
#pragma once

#include <functional>

#include "engine/threads/fork_join.h"
#include "tensorflow/core/platform/threadpool_interface.h"

namespace savedmodel::engine {

class ForkJoinPool : public tensorflow::thread::ThreadPoolInterface {
 public:
  explicit ForkJoinPool(int threads);

  // Eigen's loops are regions as well. All else is scheduled.
  void Schedule(std::function<void()> task) override;
  // oneDNN sends the root of a parallel region as (0, 1) from the thread that then waits for it; what the
  // root and its children send with a hint is the region. All else is scheduled.
  void ScheduleWithHint(std::function<void()> task, int start, int limit) override;
  int NumThreads() const override { return pool_.threads(); }
  int CurrentThreadId() const override { return pool_.CurrentId(); }

  ForkJoin& fork_join() { return pool_; }

 private:
  ForkJoin pool_;
};

}  // namespace savedmodel::engine
