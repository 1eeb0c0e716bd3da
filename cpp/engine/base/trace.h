// SPDX-License-Identifier: Apache-2.0
// RunMetadata -> Trace.
#pragma once

#include <mutex>

#include "savedmodel/trace.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

Trace ReadTrace(const tensorflow::RunMetadata& metadata);

// TensorFlow has one tracer for the process: runs whose options ask for it take turns. Others don't wait.
// Throws Error (kDeadlineExceeded) if the options' timeout passes meanwhile.
class TraceTurn {
 public:
  explicit TraceTurn(const tensorflow::RunOptions& options);

 private:
  std::unique_lock<std::timed_mutex> lock_;
};

}  // namespace savedmodel::engine
