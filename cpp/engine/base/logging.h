// SPDX-License-Identifier: Apache-2.0
// TensorFlow's log messages -> the log handler of savedmodel/runtime.h.
#pragma once

#include "savedmodel/runtime.h"

namespace savedmodel::engine {

// Registers the sink once per process. Nothing below `stderr_level` goes to stderr any more; 0 leaves
// that as it is.
void ForwardLogs(void (*log)(const LogRecord&), int stderr_level);

// Keeps the messages of its scope off stderr where TensorFlow was in the process before us and logging is its
// owner's business, but for TF_CPP_MIN_LOG_LEVEL. The log handler gets them. Process-wide while it lasts.
class QuietInfo {
 public:
  QuietInfo();
  ~QuietInfo();
  QuietInfo(const QuietInfo&) = delete;
  QuietInfo& operator=(const QuietInfo&) = delete;
};

}  // namespace savedmodel::engine
