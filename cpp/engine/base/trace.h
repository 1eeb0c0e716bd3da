// SPDX-License-Identifier: Apache-2.0
// Converts RunMetadata to Trace.
#pragma once

#include <mutex>

#include "savedmodel/trace.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

// Of a run in a session.
Trace ReadTrace(const tensorflow::RunMetadata& metadata);
// Fills in run_metadata.
void AddRunMetadata(Trace* trace);

// TensorFlow has one tracer per process, so runs whose options request it take turns; others don't wait.
// Throws Error (kDeadlineExceeded) if the options' timeout expires meanwhile.
class TraceTurn {
 public:
  explicit TraceTurn(const tensorflow::RunOptions& options);

 private:
  std::unique_lock<std::timed_mutex> lock_;
};

}  // namespace savedmodel::engine
