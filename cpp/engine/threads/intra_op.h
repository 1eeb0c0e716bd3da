// SPDX-License-Identifier: Apache-2.0
// Intra-op threads of one model. TensorFlow's own pool is shared by the process, and the first session
// determines its size. Passing a pool to each run would create a device for each (0.8 us).
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
  // Uses a service's pool, which must outlive this.
  explicit IntraOpThreads(ThreadPool* pool);
  ~IntraOpThreads();
  // Makes a session's own CPU devices use these threads. Must outlive the devices, and be called before their
  // first run.
  void UseFor(const tensorflow::DeviceMgr& devices);

  // Marks a run in the calling thread, which runs the kernels or calls a session that does. With as many
  // callers as threads, each works alone. `threads` may be null.
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

// The threads that the options request, by default one per CPU. Null if the session's config sets
// intra_op_parallelism_threads: TensorFlow's shared pool is used.
std::unique_ptr<IntraOpThreads> MakeThreads(const LoadOptions& options,
                                            const tensorflow::ConfigProto& config);

}  // namespace savedmodel::engine
