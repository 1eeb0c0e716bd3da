// SPDX-License-Identifier: Apache-2.0
// TensorFlow's log messages -> the log handler of savedmodel/runtime.h.
#pragma once

#include "savedmodel/runtime.h"

namespace savedmodel::engine {

// Registers the sink once per process. `quiet`: nothing below FATAL goes to stderr any more.
void ForwardLogs(void (*log)(const LogRecord&), bool quiet);

}  // namespace savedmodel::engine
