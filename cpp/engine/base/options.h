// SPDX-License-Identifier: Apache-2.0
// Our options -> TensorFlow's.
#pragma once

#include <string>

#include "savedmodel/options.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// Serialized ConfigProto of its text form.
std::string ParseConfigText(const std::string& text);

tensorflow::SessionOptions MakeSessionOptions(const LoadOptions& options);

// `options` laid over its own proto, and that over `base`.
tensorflow::RunOptions MakeRunOptions(const RunOptions& options, const tensorflow::RunOptions& base);

}  // namespace savedmodel::engine
