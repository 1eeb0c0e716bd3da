// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The threads of RunAsync if a service provides none: one per CPU that the process may use. They
// are started when needed, and never end.
#pragma once

#include <list>
#include <memory>

namespace savedmodel::internal {

// CPUs that the process may use, by its affinity; at least 1.
int UsableCpus();

class PoolTask {
 public:
  virtual ~PoolTask() = default;
  virtual void Run() noexcept = 0;
  // True if nothing is left to do, so that the task need not wait.
  virtual bool over() const noexcept { return false; }

 private:
  friend class PoolQueue;
  std::list<std::shared_ptr<PoolTask>>::iterator place_;
  bool waits_ = false;
};

// The tasks of one model, in order. The threads take from the queues in turn.
class PoolQueue {
 public:
  PoolQueue() = default;
  PoolQueue(const PoolQueue&) = delete;
  PoolQueue& operator=(const PoolQueue&) = delete;
  // Throws std::system_error if there is no thread and none can be started. A waiting task must own its
  // queue.
  void Push(std::shared_ptr<PoolTask> task);
  // Removes the task if it still waits.
  void Remove(PoolTask* task);

 private:
  struct Pool;
  static Pool& GetPool();
  std::list<std::shared_ptr<PoolTask>> tasks_;
};

}  // namespace savedmodel::internal
