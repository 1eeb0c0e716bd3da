// SPDX-License-Identifier: Apache-2.0
// The functions of a loaded model's saved object, made ready when they are asked for.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/function.h"
#include "engine/model/session.h"
#include "engine/objects/saved_functions.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

class ModelFunctions {
 public:
  // Keeps what it needs of the MetaGraph, and not the graph. `source` outlives this.
  ModelFunctions(const ModelSource& source, const tensorflow::MetaGraphDef& meta_graph);

  bool any() const { return HasFunctions(meta_graph_.object_graph_def()); }
  const SavedFunctions& list();
  // Does not open the session. Throws Error.
  Callee MakeCall(SharedSession& shared, const SavedFunction& function, std::size_t trace);
  // The traces of the functions with these paths, or else those that SaveOptimized takes by itself. Throws
  // UsageError.
  std::vector<std::pair<const SavedFunction*, std::size_t>> ToSave(
      const std::optional<std::vector<std::string>>& paths);

 private:
  std::shared_ptr<const tensorflow::GraphDef> Graph(SharedSession& shared);

  const ModelSource& source_;
  tensorflow::MetaGraphDef meta_graph_;  // without a graph
  std::mutex mutex_;
  std::unique_ptr<const SavedFunctions> list_;
  std::unique_ptr<const std::map<int, std::string>> tensors_;
  std::shared_ptr<const tensorflow::GraphDef> graph_;  // from the disk, until there is a session
};

}  // namespace savedmodel::engine
