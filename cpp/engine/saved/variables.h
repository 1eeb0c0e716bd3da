// SPDX-License-Identifier: Apache-2.0
// Writes the current values of a session's variables to disk.
#pragma once

#include <string>

#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/protobuf/saver.pb.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

// Runs the model's own saver. Writes a checkpoint to the directory `target`, or, if `source` is not empty, a
// copy of that SavedModel with the new variables/. `target` must not exist. Throws Error.
void WriteVariables(tensorflow::Session& session, const tensorflow::SaverDef& saver,
                    const tensorflow::RunOptions& options, const std::string& source,
                    const std::string& target);

}  // namespace savedmodel::engine
