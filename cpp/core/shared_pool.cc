// SPDX-License-Identifier: Apache-2.0
#include "core/shared_pool.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "savedmodel/thread_pool.h"

namespace savedmodel {

ThreadPool::~ThreadPool() = default;

namespace internal {
namespace {

int UsableCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(CPU_COUNT(&set), 1);
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

struct Pool {
  const int most = UsableCpus();
  std::mutex mutex;
  std::condition_variable work;
  std::deque<std::function<void()>> tasks;
  int threads = 0;
  int idle = 0;

  void Work() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      ++idle;
      work.wait(lock, [this] { return !tasks.empty(); });
      --idle;
      std::function<void()> task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }
};

// Never destroyed: its threads last as long as the process.
Pool& GetPool() {
  static auto* pool = new Pool;
  return *pool;
}

}  // namespace

void ScheduleShared(std::function<void()> task) {
  Pool& pool = GetPool();
  const std::lock_guard<std::mutex> lock(pool.mutex);
  if (pool.idle <= static_cast<int>(pool.tasks.size()) && pool.threads < pool.most) {
    try {
      std::thread([&pool] { pool.Work(); }).detach();
      ++pool.threads;
    } catch (const std::system_error&) {  // the system has no more of them
      if (pool.threads == 0) throw;
    }
  }
  pool.tasks.push_back(std::move(task));
  pool.work.notify_one();
}

}  // namespace internal
}  // namespace savedmodel
