// SPDX-License-Identifier: Apache-2.0
// Opens libraries of custom ops, and reports missing ops with the package that has them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/graph/calls.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// Registers their ops; one that is open already is no error. Throws Error.
void OpenOpLibraries(const std::vector<std::string>& libraries);
// Those that SAVEDMODEL_OP_LIBRARIES names, separated by colons.
void OpenOpLibrariesOfEnvironment();

// Tells which ops a node needs that can't run here: those that nobody registered, and Python functions.
class MissingOps {
 public:
  // `library` outlives this.
  explicit MissingOps(const tensorflow::FunctionDefLibrary& library) : functions_(library) {}
  // Of its own, and of the functions that it calls.
  std::set<std::string> Of(const tensorflow::NodeDef& node);

 private:
  const std::set<std::string>& OfFunction(const std::string& name);

  FunctionIndex functions_;
  std::map<std::string, std::set<std::string>> known_;
};

// Throws Error (kNotFound; kUnimplemented for Python functions) if there are any; it says what to install and
// which option takes it. `what` begins the message.
void RefuseMissingOps(const std::string& what, const std::set<std::string>& ops);

// TensorFlow wants to know, and to place, every op of the graph itself, also of what nobody runs.
void CheckGraphOps(const std::string& path, const tensorflow::GraphDef& graph);

}  // namespace savedmodel::engine
