// SPDX-License-Identifier: Apache-2.0
// A service's ThreadPool behind the interface through which TensorFlow, oneDNN and Eigen hand out work.
//
// A kernel waits for what it has handed out. Were all threads of the pool in such kernels, nobody would be
// left to do it; so a run in a thread of the pool does all of its work there.
#pragma once

#include <atomic>
#include <functional>

#include "savedmodel/thread_pool.h"
#include "tensorflow/core/platform/threadpool_interface.h"

namespace savedmodel::engine {

class ServicePool : public tensorflow::thread::ThreadPoolInterface {
 public:
  explicit ServicePool(ThreadPool* pool) : pool_(pool) {}

  void Schedule(std::function<void()> task) override;
  void ScheduleWithHint(std::function<void()> task, int start, int limit) override;
  int NumThreads() const override { return pool_->NumThreads(); }
  int CurrentThreadId() const override { return pool_->CurrentThreadId(); }

  // True if what the calling thread schedules just now is done in it.
  bool IsInline() const { return in_run_ || elsewhere_.load(std::memory_order_relaxed) > 0; }

  // A run that begins in the calling thread. One whose kernels run in threads of a session has them do all
  // of their work, too, as long as it blocks a thread of the pool.
  class Run {
   public:
    Run(ServicePool* pool, bool kernels_here);
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    ServicePool* pool_;  // null: the thread is not one of the pool
    bool kernels_here_;
    bool outer_ = false;
  };

 private:
  static thread_local bool in_run_;
  ThreadPool* pool_;
  std::atomic<int> elsewhere_{0};
};

}  // namespace savedmodel::engine
