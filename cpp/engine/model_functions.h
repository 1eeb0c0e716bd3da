// SPDX-License-Identifier: Apache-2.0
// The functions of a loaded model's saved object, made ready when they are asked for.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/engine.h"
#include "engine/objects/saved_functions.h"
#include "engine/session.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

class ModelFunctions {
 public:
  // Keeps what it needs of the MetaGraph, and not the graph. `device`: LoadOptions::device, or "".
  ModelFunctions(std::string path, std::string device, const tensorflow::MetaGraphDef& meta_graph);

  bool any() const { return HasFunctions(meta_graph_.object_graph_def()); }
  const SavedFunctions& list();
  std::unique_ptr<internal::EngineFunction> Bind(const std::shared_ptr<SharedSession>& shared,
                                                 const SavedFunction& function, std::size_t trace);

 private:
  std::string path_;
  std::string device_;
  tensorflow::MetaGraphDef meta_graph_;  // without a graph
  std::mutex mutex_;
  std::unique_ptr<const SavedFunctions> list_;
  std::unique_ptr<const std::map<int, std::string>> tensors_;
};

}  // namespace savedmodel::engine
