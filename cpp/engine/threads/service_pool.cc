// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/service_pool.h"

#include <atomic>
#include <exception>
#include <memory>
#include <utility>

#include "engine/threads/eigen_loops.h"
#include "engine/threads/float_mode.h"

namespace savedmodel::engine {
namespace {

// Results must not depend on which thread computes, so all use one float mode.
void RunAsWorker(const std::function<void()>& task) {
  const FloatMode mode;
  task();
}

}  // namespace

// A task that a caller waits for: if the pool destroys it or never receives it, it runs at once.
class ServicePool::Owed {
 public:
  explicit Owed(std::function<void()> task) : task_(std::move(task)) {}
  // The pool may hold a lock of its own here, so the task's own subtasks stay in this thread.
  ~Owed() { Run(true); }
  Owed(const Owed&) = delete;
  Owed& operator=(const Owed&) = delete;

  void Run(bool all_here) {
    if (begun_.exchange(true)) return;
    const bool outer = std::exchange(inline_, all_here);
    RunAsWorker(task_);
    inline_ = outer;
  }

 private:
  std::function<void()> task_;
  std::atomic<bool> begun_{false};
};

thread_local bool ServicePool::inline_ = true;

void ServicePool::Schedule(std::function<void()> task) {
  // The caller of a loop waits for its root anyway.
  if (IsInline() || KindOf(task) == LoopTask::kRoot) return RunAsWorker(task);
  const auto owed = std::make_shared<Owed>(std::move(task));
  try {
    // It waits for nothing, and may schedule parts of its own.
    pool_->Schedule([owed] { owed->Run(false); });
  } catch (const std::exception&) {  // the pool has destroyed the task
  }
}

void ServicePool::ScheduleWithHint(std::function<void()> task, int start, int limit) {
  // oneDNN's root, as in ForkJoinPool.
  if (start == 0 && limit == 1 && pool_->CurrentThreadId() < 0) return RunAsWorker(task);
  Schedule(std::move(task));
}

ServicePool::Run::Run(ServicePool* pool, bool kernels_here)
    : outer_(std::exchange(inline_, !kernels_here || pool->CurrentThreadId() >= 0)) {}

ServicePool::Run::~Run() { inline_ = outer_; }

}  // namespace savedmodel::engine
