// SPDX-License-Identifier: Apache-2.0
// Gives a session's variables and tables their values.
#pragma once

#include <memory>
#include <string>

#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// The restore and the init op of the MetaGraph, from the files at `path`, as tensorflow::RestoreSession does;
// but what is known to need no session runs without TensorFlow's graph optimizer, which takes longer over a
// graph that runs once than the graph takes. Throws Error.
void Restore(const tensorflow::SessionOptions& options, const tensorflow::RunOptions& run_options,
             const tensorflow::MetaGraphDef& meta_graph, const std::string& path,
             std::unique_ptr<tensorflow::Session>* session);

}  // namespace savedmodel::engine
