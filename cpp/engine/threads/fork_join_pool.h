// SPDX-License-Identifier: Apache-2.0
// Adapts ForkJoin to the interface by which TensorFlow, oneDNN and Eigen schedule work.
#pragma once

#include <functional>

#include "engine/threads/fork_join.h"
#include "tensorflow/core/platform/threadpool_interface.h"

namespace savedmodel::engine {

class ForkJoinPool : public tensorflow::thread::ThreadPoolInterface {
 public:
  explicit ForkJoinPool(int threads);

  // Eigen's loops run as regions. Other tasks are scheduled.
  void Schedule(std::function<void()> task) override;
  // oneDNN sends the root of a parallel region as (0, 1), from the thread that then waits for it. Tasks that
  // the root and its children send with a hint form the region. Other tasks are scheduled.
  void ScheduleWithHint(std::function<void()> task, int start, int limit) override;
  int NumThreads() const override { return pool_.threads(); }
  int CurrentThreadId() const override { return pool_.CurrentId(); }

  ForkJoin& fork_join() { return pool_; }

 private:
  ForkJoin pool_;
};

}  // namespace savedmodel::engine
