// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Finds and opens TensorFlow's libraries, then the engine. They are isolated from the process's own
// protobuf, absl and gRPC, but use its allocator and threads.
#pragma once

#include <string>
#include <vector>

#include "core/engine.h"

namespace savedmodel::internal {

struct OpenedTensorFlow {
  OpenEngineFn open_engine = nullptr;
  std::string version;
  // StderrLevel(), or 0 if the process had opened TensorFlow before and handles its logging itself.
  int stderr_level = 0;
  // Lines that TensorFlow wrote to stderr while it was being opened.
  std::vector<std::string> written;
};

// `hint`: a folder `tensorflow` to search, or "". Throws FAILED_PRECONDITION if no TensorFlow of the right
// version is found; the message lists the searched places.
OpenedTensorFlow OpenTensorFlowLibraries(const std::string& hint);

}  // namespace savedmodel::internal
