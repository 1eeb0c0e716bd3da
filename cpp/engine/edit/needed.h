// SPDX-License-Identifier: Apache-2.0
// Which nodes of a graph are needed: by signatures, and then by the init op and the saver for what those use.
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

// A node by which others know a variable, a table or another resource.
bool MakesHandle(const tensorflow::NodeDef& node);

// Full names of the dense tensors that values of these specs consist of.
std::vector<std::string> DenseTensors(const std::vector<TensorSpec>& specs);

// Refers to the GraphDef.
class NeededNodes {
 public:
  explicit NeededNodes(const tensorflow::GraphDef& graph) : graph_(graph) {}

  // With everything that it is computed from.
  void Add(const std::string& node);
  // Those that compute `fetches` where `feeds` are given; what makes a feed is not needed for it.
  void AddCall(const std::vector<std::string>& feeds, const std::vector<std::string>& fetches);
  // A node whose value is given. What computes it is not needed for that, if it can become a Placeholder.
  void AddFed(const std::string& node);
  // A group of effects (assignments, fills of tables): of those that `node` only waits for, what touches
  // variables and tables that nothing needs is left out. True if something was added.
  bool AddEffects(const std::string& node);

  bool Has(const std::string& node) const { return needed_.count(node) > 0 || fed_.count(node) > 0; }
  // Whether a value is computed from variables or tables that nothing needs.
  bool ReadsUnneeded(const std::string& tensor) const;
  std::size_t size() const { return needed_.size(); }

 private:
  // Calls `visit` for each node once, with the list of those to go to.
  template <typename Visit>
  void Walk(std::vector<std::string> pending, const Visit& visit) const;
  const std::set<std::string>& Handles(const std::string& node) const;
  bool TouchesUnneededOnly(const std::string& node) const;

  GraphView graph_;
  std::unordered_set<std::string> needed_;  // with all that they read
  std::unordered_set<std::string> fed_;
  mutable std::map<std::string, std::set<std::string>> handles_;
};

}  // namespace savedmodel::engine::edit
