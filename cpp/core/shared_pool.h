// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The threads in which RunAsync runs where a service has given none: as many as the process may use
// CPUs; they are started when needed, and never end.
#pragma once

#include <list>
#include <memory>

namespace savedmodel::internal {

class PoolTask {
 public:
  virtual ~PoolTask() = default;
  virtual void Run() noexcept = 0;

 private:
  friend class PoolQueue;
  std::list<std::shared_ptr<PoolTask>>::iterator place_;
  bool waits_ = false;
};

// The tasks of one model, in order; the threads take from one queue after the other.
class PoolQueue {
 public:
  PoolQueue() = default;
  PoolQueue(const PoolQueue&) = delete;
  PoolQueue& operator=(const PoolQueue&) = delete;
  // Throws std::system_error if there is no thread, and none can be started. What waits must keep the queue.
  void Push(std::shared_ptr<PoolTask> task);
  // Takes the task out if it waits still.
  void Remove(PoolTask* task);

 private:
  struct Pool;
  static Pool& GetPool();
  std::list<std::shared_ptr<PoolTask>> tasks_;
};

}  // namespace savedmodel::internal
