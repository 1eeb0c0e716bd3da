// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/service_pool.h"

#include <utility>

#include "engine/threads/eigen_loops.h"
#include "engine/threads/float_mode.h"

namespace savedmodel::engine {
namespace {

// Results must not depend on which thread rounds.
void RunAsWorker(const std::function<void()>& task) {
  const FloatMode mode;
  task();
}

}  // namespace

thread_local bool ServicePool::inline_ = true;

void ServicePool::Schedule(std::function<void()> task) {
  // The caller of a loop waits for its root at once.
  if (IsInline() || KindOf(task) == LoopTask::kRoot) return RunAsWorker(task);
  pool_->Schedule([task = std::move(task)] {
    // It waits for nothing, and may hand out parts of its own.
    const bool outer = std::exchange(inline_, false);
    RunAsWorker(task);
    inline_ = outer;
  });
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
