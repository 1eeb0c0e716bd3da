// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/fork_join_pool.h"

#include <utility>

#include "engine/threads/eigen_loops.h"
#include "engine/threads/float_mode.h"

namespace savedmodel::engine {
namespace {

ForkJoin::Options MakeOptions(int threads) {
  ForkJoin::Options options;
  options.threads = threads;
  options.in_worker = [](const ForkJoin::Task& work) {
    const FloatMode mode;
    work();
  };
  return options;
}

}  // namespace

ForkJoinPool::ForkJoinPool(int threads) : pool_(MakeOptions(threads)) {}

void ForkJoinPool::Schedule(std::function<void()> task) {
  switch (KindOf(task)) {
    case LoopTask::kRoot: {
      const FloatMode mode;
      return pool_.Run(task);
    }
    case LoopTask::kPart:
      if (pool_.InRegion()) return pool_.Fork(std::move(task), 0);
      if (pool_.CurrentId() < 0 && pool_.Width() == 0) return task();
      return pool_.Schedule(std::move(task));
    case LoopTask::kNone:
      pool_.Schedule(std::move(task));
  }
}

void ForkJoinPool::ScheduleWithHint(std::function<void()> task, int start, int limit) {
  if (pool_.InRegion()) {
    pool_.Fork(std::move(task), start);
  } else if (start == 0 && limit == 1 && pool_.CurrentId() < 0) {
    // The caller's share of the region uses the workers' float mode.
    const FloatMode mode;
    pool_.Run(task);
  } else {
    pool_.Schedule(std::move(task));
  }
}

}  // namespace savedmodel::engine
