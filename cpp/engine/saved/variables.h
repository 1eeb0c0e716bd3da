// SPDX-License-Identifier: Apache-2.0
// The values that a session's variables have, on disk.
#pragma once

#include <string>

#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/protobuf/saver.pb.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

// What the model's own saver writes: a checkpoint in the directory `target`; or, beside a copy of the other
// files of the SavedModel `source`, if that is not empty, its variables/. `target` must not exist. Throws
// Error.
void WriteVariables(tensorflow::Session& session, const tensorflow::SaverDef& saver,
                    const tensorflow::RunOptions& options, const std::string& source,
                    const std::string& target);

}  // namespace savedmodel::engine
