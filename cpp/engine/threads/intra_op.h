// SPDX-License-Identifier: Apache-2.0
// Intra-op threads of one model. TensorFlow's own pool is shared by the process, and as large as the
// first session made it; handing a pool to each run instead makes a device anew for each (0.8 us).
#pragma once

#include <memory>

#include "tensorflow/core/platform/threadpool.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

class IntraOpThreads {
 public:
  explicit IntraOpThreads(int threads);
  ~IntraOpThreads();
  // Makes the session's CPU devices, which are its own, use these. Must outlive the session, and be
  // called before its first run.
  void UseFor(tensorflow::Session& session);

 private:
  struct Workers;
  tensorflow::thread::ThreadPool pool_;
  std::unique_ptr<Workers> workers_;
};

}  // namespace savedmodel::engine
