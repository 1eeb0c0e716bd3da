// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/intra_op_pool.h"

#include <utility>

#include "tensorflow/core/platform/env.h"

namespace savedmodel::engine {

IntraOpPool::IntraOpPool(int threads) : pool_(tensorflow::Env::Default(), "savedmodel", threads) {}

void IntraOpPool::Schedule(std::function<void()> task) { pool_.Schedule(std::move(task)); }

void IntraOpPool::ScheduleWithHint(std::function<void()> task, int start, int limit) {
  pool_.ScheduleWithHint(std::move(task), start, limit);
}

int IntraOpPool::NumThreads() const { return pool_.NumThreads(); }
int IntraOpPool::CurrentThreadId() const { return pool_.CurrentThreadId(); }

}  // namespace savedmodel::engine
