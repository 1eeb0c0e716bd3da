// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Finds TensorFlow's libraries and opens them, and the engine after them, apart from the process's
// own protobuf, absl and gRPC, but with its allocator and threads.
#pragma once

#include <string>
#include <vector>

#include "core/engine.h"

namespace savedmodel::internal {

struct OpenedTensorFlow {
  OpenEngineFn open_engine = nullptr;
  std::string version;
  // StderrLevel(), or 0 where TensorFlow was in the process before, and logging is its owner's business.
  int stderr_level = 0;
  // Lines that TensorFlow wrote to stderr while it was opened.
  std::vector<std::string> written;
};

// `hint`: a folder `tensorflow` to look into, or "". FAILED_PRECONDITION where there is no TensorFlow of the
// right version; the message says where it was looked for.
OpenedTensorFlow OpenTensorFlowLibraries(const std::string& hint);

}  // namespace savedmodel::internal
