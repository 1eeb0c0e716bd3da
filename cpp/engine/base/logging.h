// SPDX-License-Identifier: Apache-2.0
// Forwards TensorFlow's log messages to the log handler of savedmodel/runtime.h.
#pragma once

#include "savedmodel/runtime.h"

namespace savedmodel::engine {

// Registers the sink once per process. Records below `stderr_level` no longer go to stderr; 0 changes nothing
// there.
void ForwardLogs(void (*log)(const LogRecord&), int stderr_level);

// Keeps messages of its scope off stderr if the process had opened TensorFlow before and handles its logging
// itself, unless TF_CPP_MIN_LOG_LEVEL is set. The log handler still gets them. Process-wide.
class QuietInfo {
 public:
  QuietInfo();
  ~QuietInfo();
  QuietInfo(const QuietInfo&) = delete;
  QuietInfo& operator=(const QuietInfo&) = delete;
};

}  // namespace savedmodel::engine
