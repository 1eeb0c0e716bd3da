// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/eigen_loops.h"

#include <cstdint>
#include <typeinfo>
#include <vector>

#include "tensorflow/core/platform/threadpool.h"
#include "tensorflow/core/platform/threadpool_interface.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

struct Loop {
  const std::type_info* root = nullptr;
  const std::type_info* part = nullptr;
};

// Records the first tasks of a loop that runs in it.
class Probe : public tf::thread::ThreadPoolInterface {
 public:
  void Schedule(std::function<void()> task) override {
    const std::type_info*& seen = loop_.root == nullptr ? loop_.root : loop_.part;
    seen = &task.target_type();
    task();
  }
  int NumThreads() const override { return 2; }
  int CurrentThreadId() const override { return -1; }
  const Loop& loop() const { return loop_; }

 private:
  Loop loop_;
};

// Eight parts for two threads: Eigen makes a root only for more parts than threads.
Loop Learn(const tf::thread::ThreadPool::SchedulingParams& params) {
  Probe probe;
  tf::thread::ThreadPool pool(&probe);
  pool.ParallelFor(8, params, [](std::int64_t, std::int64_t) {});
  return probe.loop();
}

const std::vector<Loop>& Loops() {
  using Params = tf::thread::ThreadPool::SchedulingParams;
  static const auto* const loops = new std::vector<Loop>{
      Learn(Params::Adaptive(1'000'000)),
      Learn(Params::Fixed(1)),
  };
  return *loops;
}

}  // namespace

LoopTask KindOf(const std::function<void()>& task) {
  const std::type_info& type = task.target_type();
  for (const Loop& loop : Loops()) {
    if (loop.root != nullptr && type == *loop.root) return LoopTask::kRoot;
    if (loop.part != nullptr && type == *loop.part) return LoopTask::kPart;
  }
  return LoopTask::kNone;
}

}  // namespace savedmodel::engine
