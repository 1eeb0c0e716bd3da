// SPDX-License-Identifier: Apache-2.0
#include "core/shared_pool.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "savedmodel/thread_pool.h"

namespace savedmodel {

ThreadPool::~ThreadPool() = default;

namespace internal {

int UsableCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(CPU_COUNT(&set), 1);
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

struct PoolQueue::Pool {
  const int most = UsableCpus();
  std::mutex mutex;
  std::condition_variable work;
  std::list<PoolQueue*> queues;  // queues with tasks; the next one is in front
  int waiting = 0;               // tasks
  int threads = 0;
  int idle = 0;

  std::shared_ptr<PoolTask> Take() {
    PoolQueue* queue = queues.front();
    std::shared_ptr<PoolTask> task = std::move(queue->tasks_.front());
    queue->tasks_.pop_front();
    task->waits_ = false;
    --waiting;
    if (queue->tasks_.empty()) {
      queues.pop_front();
    } else {
      queues.splice(queues.end(), queues, queues.begin());
    }
    return task;
  }

  void Work() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      ++idle;
      work.wait(lock, [this] { return waiting > 0; });
      --idle;
      std::shared_ptr<PoolTask> task = Take();
      lock.unlock();
      task->Run();
      task = nullptr;
      lock.lock();
    }
  }
};

// Never destroyed: its threads last as long as the process.
PoolQueue::Pool& PoolQueue::GetPool() {
  static auto* pool = new Pool;
  return *pool;
}

void PoolQueue::Push(std::shared_ptr<PoolTask> task) {
  Pool& pool = GetPool();
  const std::lock_guard<std::mutex> lock(pool.mutex);
  if (pool.idle <= pool.waiting && pool.threads < pool.most) {
    try {
      std::thread([&pool] { pool.Work(); }).detach();
      ++pool.threads;
    } catch (const std::system_error&) {  // the system can't start more threads
      if (pool.threads == 0) throw;
    }
  }
  if (task->over()) return;  // from here on Remove finds it
  const bool first = tasks_.empty();
  if (first) pool.queues.push_back(this);
  try {
    tasks_.push_back(task);
  } catch (...) {
    if (first) pool.queues.pop_back();
    throw;
  }
  task->place_ = std::prev(tasks_.end());
  task->waits_ = true;
  ++pool.waiting;
  pool.work.notify_one();
}

void PoolQueue::Remove(PoolTask* task) {
  Pool& pool = GetPool();
  std::shared_ptr<PoolTask> removed;  // destroyed after the lock is released
  const std::lock_guard<std::mutex> lock(pool.mutex);
  if (!task->waits_) return;
  task->waits_ = false;
  removed = std::move(*task->place_);
  tasks_.erase(task->place_);
  --pool.waiting;
  if (tasks_.empty()) pool.queues.remove(this);
}

}  // namespace internal
}  // namespace savedmodel
