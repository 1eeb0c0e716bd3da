// SPDX-License-Identifier: Apache-2.0
// Intra-op threads of one model. TensorFlow's own pool is shared by the process, and as large as the
// first session made it; handing a pool to each run instead makes a device anew for each (0.8 us).
#pragma once

#include <memory>
#include <optional>

#include "engine/threads/fork_join_pool.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/platform/threadpool.h"

namespace savedmodel::engine {

class IntraOpThreads {
 public:
  // Throws kResourceExhausted when the system has no more threads.
  explicit IntraOpThreads(int threads);
  ~IntraOpThreads();
  // Makes CPU devices, which must be a session's own, use these. Must outlive them, and be called before
  // their first run.
  void UseFor(const tensorflow::DeviceMgr& devices);

  // Around each run, in the calling thread: as many callers as threads leave each to itself. `threads`
  // may be null. Sums may then be split differently than in a run alone, and differ in the last bit.
  class Run {
   public:
    explicit Run(IntraOpThreads* threads);
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    std::optional<ForkJoin::Call> call_;
    int parallelism_ = 0;  // the thread's own limit, to be restored; 0: it was not touched
  };

 private:
  struct Workers;
  ForkJoinPool pool_;
  tensorflow::thread::ThreadPool wrapped_;
  std::unique_ptr<Workers> workers_;
};

}  // namespace savedmodel::engine
