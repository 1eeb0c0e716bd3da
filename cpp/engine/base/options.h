// SPDX-License-Identifier: Apache-2.0
// Converts savedmodel's options to TensorFlow's.
#pragma once

#include <string>

#include "savedmodel/options.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// Serializes a ConfigProto from its text form.
std::string ParseConfigText(const std::string& text);

tensorflow::SessionOptions MakeSessionOptions(const LoadOptions& options);

// Merges: `options` overrides its own proto, which overrides `base`.
tensorflow::RunOptions MakeRunOptions(const RunOptions& options, const tensorflow::RunOptions& base);

}  // namespace savedmodel::engine
