// SPDX-License-Identifier: Apache-2.0
// Names in graphs: references to tensors, and nodes by name.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// A tensor as an input of a node names it: "node", "node:1" or "^node" in a graph, and in a function's body
// also "node:output:1" (of which `index` is the last number), or an argument's name.
struct TensorRef {
  static constexpr int kControl = -1;

  TensorRef(std::string name, int number) : node(std::move(name)), index(number) {}
  // Reads any text; what is no number is 0.
  explicit TensorRef(const std::string& text);
  // As a person writes it: "node" or "node:1". Throws UsageError for what is not the name of a tensor.
  static TensorRef Parse(const std::string& text);

  bool is_control() const { return index == kControl; }
  std::string ToString() const { return node + ":" + std::to_string(index); }

  std::string node;
  int index;
};

inline bool IsControl(const std::string& input) { return !input.empty() && input[0] == '^'; }
std::string NodeOf(const std::string& input);
// Inputs that are data.
int CountDataInputs(const tensorflow::NodeDef& node);
bool HasControlInputs(const tensorflow::NodeDef& node);

// The nodes of a graph, or of a function's body. Refers to them.
class GraphView {
 public:
  using Nodes = google::protobuf::RepeatedPtrField<tensorflow::NodeDef>;
  struct Reader {
    const tensorflow::NodeDef* node;
    int input;
  };

  explicit GraphView(const tensorflow::GraphDef& graph) : GraphView(graph.node()) {}
  explicit GraphView(const tensorflow::FunctionDef& function);
  explicit GraphView(const Nodes& nodes);

  const Nodes& nodes() const { return *nodes_; }
  // Null if there is none.
  const tensorflow::NodeDef* Find(const std::string& name) const;
  // The node that an input names.
  const tensorflow::NodeDef* Source(const std::string& input) const { return Find(NodeOf(input)); }
  // The function's argument of this name, or -1.
  int Argument(const std::string& name) const;
  // The data inputs that read a node or an argument. The first call makes the index.
  const std::vector<Reader>& Readers(const std::string& name) const;

  // Visits each node once that `start` (nodes or tensors) is computed from. `follow` is asked of each input,
  // with the node that reads it.
  template <typename Visit, typename Follow>
  void Walk(std::vector<std::string> start, const Visit& visit, const Follow& follow) const {
    std::unordered_set<const tensorflow::NodeDef*> seen;
    while (!start.empty()) {
      const std::string name = NodeOf(start.back());
      start.pop_back();
      const tensorflow::NodeDef* node = name.empty() ? nullptr : Find(name);
      if (node == nullptr || !seen.insert(node).second) continue;
      visit(*node);
      for (const std::string& input : node->input()) {
        if (follow(*node, input)) start.push_back(input);
      }
    }
  }
  template <typename Visit>
  void Walk(std::vector<std::string> start, const Visit& visit) const {
    Walk(std::move(start), visit, [](const tensorflow::NodeDef&, const std::string&) { return true; });
  }

 private:
  const Nodes* nodes_;
  std::unordered_map<std::string, const tensorflow::NodeDef*> by_name_;
  std::unordered_map<std::string, int> arguments_;
  mutable std::unordered_map<std::string, std::vector<Reader>> readers_;
};

}  // namespace savedmodel::engine
