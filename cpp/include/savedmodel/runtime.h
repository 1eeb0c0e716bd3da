// SPDX-License-Identifier: Apache-2.0
// Process-wide settings: TensorFlow's location and its log records.
#pragma once

#include <functional>
#include <string>

#include "savedmodel/export.h"

namespace savedmodel {

// The directory of the `tensorflow` wheel package, used if SAVEDMODEL_TENSORFLOW_DIR is not set. The default
// is a folder `tensorflow` beside the installed package, then the one built against. No effect once
// TensorFlow is open.
SAVEDMODEL_API void SetTensorFlowDirectory(const std::string& path);

// Opens TensorFlow unless a load or inspection already has. Throws Error (kFailedPrecondition) that names the
// version found, the version needed and the command that fixes it.
SAVEDMODEL_API void OpenTensorFlow();

// "2.21.0": the open version, or empty.
SAVEDMODEL_API std::string TensorFlowVersion();
// "2.21": the major and minor version that this library was built for.
SAVEDMODEL_API const char* RequiredTensorFlowVersion();

// For LoadOptions::cache: "savedmodel" below XDG_CACHE_HOME or ~/.cache; empty without a home.
SAVEDMODEL_API std::string DefaultCacheDirectory();

struct LogRecord {
  int severity = 0;  // 0 info, 1 warning, 2 error, 3 fatal
  std::string file;
  int line = 0;
  std::string message;
};

// Receives TensorFlow's log records, in any thread; must not call into this library. Without a handler,
// records are dropped unless TF_CPP_MIN_LOG_LEVEL sends them to stderr.
SAVEDMODEL_API void SetLogHandler(std::function<void(const LogRecord&)> handler);

}  // namespace savedmodel
