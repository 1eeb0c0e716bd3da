// SPDX-License-Identifier: Apache-2.0
// A service's ThreadPool behind the interface through which TensorFlow, oneDNN and Eigen hand out work.
//
// A kernel waits for what it has handed out. Were all threads of the pool in such kernels, nobody would be
// left to do it; so a run in a thread of the pool does all of its work there.
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

  // True if what the calling thread schedules just now is done in it.
  static bool IsInline() { return inline_; }

  // A run that begins in the calling thread, which runs its kernels, or has a session do it.
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
  static thread_local bool inline_;  // true in threads that nothing is known of, a session's among them
  ThreadPool* pool_;
};

}  // namespace savedmodel::engine
