// SPDX-License-Identifier: Apache-2.0
// Intra-op threads of one model; TensorFlow's own pool is shared by the process, and as large as the
// first session made it.
#pragma once

#include <functional>

#include "tensorflow/core/platform/threadpool.h"
#include "tensorflow/core/platform/threadpool_interface.h"

namespace savedmodel::engine {

class IntraOpPool : public tensorflow::thread::ThreadPoolInterface {
 public:
  explicit IntraOpPool(int threads);

  void Schedule(std::function<void()> task) override;
  void ScheduleWithHint(std::function<void()> task, int start, int limit) override;
  void Cancel() override {}
  int NumThreads() const override;
  int CurrentThreadId() const override;

 private:
  tensorflow::thread::ThreadPool pool_;
};

}  // namespace savedmodel::engine
