// SPDX-License-Identifier: Apache-2.0
// Process-wide matters: where TensorFlow is, what it logs.
#pragma once

#include <functional>
#include <string>

#include "savedmodel/export.h"

namespace savedmodel {

// Directory of the `tensorflow` wheel package, to use when SAVEDMODEL_TENSORFLOW_DIR is not set.
// Without it: a folder `tensorflow` beside the installed package, then the one built against.
// No effect once TensorFlow is open.
SAVEDMODEL_API void SetTensorFlowDirectory(const std::string& path);

// Opens TensorFlow if no load or inspection has yet. Throws Error (kFailedPrecondition) that names the
// version found, the version needed and the command that mends it.
SAVEDMODEL_API void OpenTensorFlow();

// "2.21.0": the one that is open, or empty.
SAVEDMODEL_API std::string TensorFlowVersion();
// "2.21": major and minor that this library was built for.
SAVEDMODEL_API const char* RequiredTensorFlowVersion();

struct LogRecord {
  int severity = 0;  // 0 info, 1 warning, 2 error, 3 fatal
  std::string file;
  int line = 0;
  std::string message;
};

// Receives what TensorFlow logs, from any thread; it must not call into this library. Without a handler
// the messages are dropped, unless TF_CPP_MIN_LOG_LEVEL asks for them on stderr.
SAVEDMODEL_API void SetLogHandler(std::function<void(const LogRecord&)> handler);

}  // namespace savedmodel
