// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/service_pool.h"

#include <cfenv>
#include <utility>

#include "engine/threads/eigen_loops.h"
#include "tensorflow/core/platform/denormal.h"
#include "tensorflow/core/platform/setround.h"

namespace savedmodel::engine {
namespace {

// Results must not depend on which thread rounds.
void RunAsWorker(const std::function<void()>& task) {
  const tensorflow::port::ScopedFlushDenormal flush;
  const tensorflow::port::ScopedSetRound round(FE_TONEAREST);
  task();
}

}  // namespace

thread_local bool ServicePool::in_run_ = false;

void ServicePool::Schedule(std::function<void()> task) {
  // The caller of a loop waits for its root at once.
  if (IsInline() || KindOf(task) == LoopTask::kRoot) return RunAsWorker(task);
  pool_->Schedule([task = std::move(task)] { RunAsWorker(task); });
}

void ServicePool::ScheduleWithHint(std::function<void()> task, int start, int limit) {
  // oneDNN's root, as in ForkJoinPool.
  if (start == 0 && limit == 1 && pool_->CurrentThreadId() < 0) return RunAsWorker(task);
  Schedule(std::move(task));
}

ServicePool::Run::Run(ServicePool* pool, bool kernels_here)
    : pool_(pool != nullptr && pool->CurrentThreadId() >= 0 ? pool : nullptr), kernels_here_(kernels_here) {
  if (pool_ == nullptr) return;
  if (kernels_here_) {
    outer_ = std::exchange(in_run_, true);
  } else {
    ++pool_->elsewhere_;
  }
}

ServicePool::Run::~Run() {
  if (pool_ == nullptr) return;
  if (kernels_here_) {
    in_run_ = outer_;
  } else {
    --pool_->elsewhere_;
  }
}

}  // namespace savedmodel::engine
