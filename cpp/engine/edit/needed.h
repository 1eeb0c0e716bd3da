// SPDX-License-Identifier: Apache-2.0
// Finds the nodes that signatures need, and the parts of the init op and the saver that those nodes need.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/graph/graph_view.h"
#include "savedmodel/signature.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine::edit {

// True for a node that creates the handle of a variable, a table or another resource.
bool MakesHandle(const tensorflow::NodeDef& node);

// Full names of the dense tensors of these specs.
std::vector<std::string> DenseTensors(const std::vector<TensorSpec>& specs);

// Refers to the GraphDef.
class NeededNodes {
 public:
  explicit NeededNodes(const tensorflow::GraphDef& graph) : graph_(graph) {}

  // Adds a node with everything that it is computed from.
  void Add(const std::string& node);
  // Adds the nodes that compute `fetches` from `feeds`, but not those that compute a feed.
  void AddCall(const std::vector<std::string>& feeds, const std::vector<std::string>& fetches);
  // Adds a fed node. The nodes that compute it are not added if it can become a Placeholder.
  void AddFed(const std::string& node);
  // Adds a group of side effects (assignments, fills of tables). Of those that `node` only waits for, it
  // skips those on variables and tables that nothing needs. Returns true if something was added.
  bool AddEffects(const std::string& node);

  bool Has(const std::string& node) const { return needed_.count(node) > 0 || fed_.count(node) > 0; }
  // True if a value is computed from variables or tables that nothing needs.
  bool ReadsUnneeded(const std::string& tensor) const;
  std::size_t size() const { return needed_.size(); }

 private:
  const std::set<std::string>& Handles(const std::string& node) const;
  bool TouchesUnneededOnly(const std::string& node) const;

  GraphView graph_;
  std::unordered_set<std::string> needed_;  // with everything that they read
  std::unordered_set<std::string> fed_;
  mutable std::map<std::string, std::set<std::string>> handles_;
};

}  // namespace savedmodel::engine::edit
