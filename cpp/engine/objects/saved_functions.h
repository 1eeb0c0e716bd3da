// SPDX-License-Identifier: Apache-2.0
// The functions of the object graph that are not signatures.
#pragma once

#include <map>
#include <set>
#include <string>

#include "savedmodel/saved_function.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::engine {

// True if there are callable functions other than signatures.
bool HasFunctions(const tensorflow::SavedObjectGraph& objects);

class SavedFunctions {
 public:
  explicit SavedFunctions(tensorflow::SavedObjectGraph objects);

  const tensorflow::SavedObjectGraph& objects() const { return objects_; }
  // By the shortest path to each, without functions that create tables.
  const std::map<std::string, SavedFunction>& all() const { return functions_; }
  // By any path. Throws UsageError.
  const SavedFunction& Find(const std::string& path) const;

 private:
  void Add(const std::string& path, int node);
  int Resolve(int node, const std::string& path, std::set<std::pair<int, std::string>>* seen) const;

  tensorflow::SavedObjectGraph objects_;
  std::map<std::string, SavedFunction> functions_;
  std::map<int, std::string> paths_;  // by node
};

}  // namespace savedmodel::engine
