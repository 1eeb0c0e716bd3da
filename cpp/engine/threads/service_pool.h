// SPDX-License-Identifier: Apache-2.0
// Adapts a service's ThreadPool to the interface by which TensorFlow, oneDNN and Eigen schedule work.
//
// A kernel waits for the tasks that it schedules. If all threads of the pool ran such kernels, none could run
// the tasks, so a run in a thread of the pool does all of its work there.
#pragma once

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

  // True if tasks that the calling thread schedules now run in it.
  static bool IsInline() { return inline_; }

  // Marks a run in the calling thread, which runs its kernels or calls a session that does.
  class Run {
   public:
    Run(ServicePool* pool, bool kernels_here);
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    bool outer_;
  };

 private:
  class Owed;
  static thread_local bool inline_;  // true in unknown threads, including a session's
  ThreadPool* pool_;
};

}  // namespace savedmodel::engine
