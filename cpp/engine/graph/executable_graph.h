// SPDX-License-Identifier: Apache-2.0
// From a GraphDef to the graph that TensorFlow would run for some feeds and fetches: the steps of a session
// between making a callable and running it, for one device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tensorflow/core/common_runtime/process_function_library_runtime.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// Members are in the order in which the later ones need the earlier.
struct ExecutableGraph {
  std::unique_ptr<tensorflow::FunctionLibraryDefinition> functions;
  std::unique_ptr<tensorflow::ProcessFunctionLibraryRuntime> runtimes;
  tensorflow::FunctionLibraryRuntime* runtime = nullptr;
  const tensorflow::SessionOptions* options = nullptr;
  const tensorflow::DeviceMgr* devices = nullptr;
  std::unique_ptr<tensorflow::Graph> graph;  // with _Arg and _Retval nodes, in the order of feeds and fetches
};

// `options` and `devices` (which has one device) must outlive the result. `bare`: without TensorFlow's passes
// for oneDNN. Throws Error.
ExecutableGraph MakeExecutable(const tensorflow::GraphDef& graph, const std::vector<std::string>& feeds,
                               const std::vector<std::string>& fetches,
                               const tensorflow::SessionOptions& options,
                               const tensorflow::DeviceMgr& devices, bool bare = false);

// The nodes that `fetches` need, given `feeds`; with the whole library.
tensorflow::GraphDef Prune(const tensorflow::GraphDef& graph, const std::vector<std::string>& feeds,
                           const std::vector<std::string>& fetches);

}  // namespace savedmodel::engine
