// SPDX-License-Identifier: Apache-2.0
// Intra-op threads of one model. TensorFlow's own pool is shared by the process, and as large as the
// first session made it; handing a pool to each run instead makes a device anew for each (0.8 us).
#pragma once

#include <memory>
#include <optional>

#include "engine/threads/fork_join_pool.h"
#include "engine/threads/service_pool.h"
#include "savedmodel/options.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/platform/threadpool.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

class IntraOpThreads {
 public:
  explicit IntraOpThreads(int threads);
  // A service's, which must outlive this.
  explicit IntraOpThreads(ThreadPool* pool);
  ~IntraOpThreads();
  // Makes CPU devices, which must be a session's own, use these. Must outlive them, and be called before
  // their first run.
  void UseFor(const tensorflow::DeviceMgr& devices);

  // Around each run, in the calling thread, which runs the kernels, or has a session do it: as many callers
  // as threads leave each to itself. `threads` may be null.
  class Run {
   public:
    Run(IntraOpThreads* threads, bool kernels_here);

   private:
    std::optional<ForkJoin::Call> call_;
    std::optional<ServicePool::Run> in_service_;
  };

 private:
  struct Workers;
  IntraOpThreads(std::unique_ptr<ForkJoinPool> own, std::unique_ptr<ServicePool> service);

  std::unique_ptr<ForkJoinPool> own_;  // or
  std::unique_ptr<ServicePool> service_;
  tensorflow::thread::ThreadPool wrapped_;
  std::unique_ptr<Workers> workers_;
};

// What the options ask for; null: TensorFlow's pool, which who gives a session's config a number of intra-op
// threads means. Without a number anywhere there are as many as CPUs.
std::unique_ptr<IntraOpThreads> MakeThreads(const LoadOptions& options,
                                            const tensorflow::ConfigProto& config);

}  // namespace savedmodel::engine
