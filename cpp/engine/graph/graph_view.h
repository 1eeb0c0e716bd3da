// SPDX-License-Identifier: Apache-2.0
// Names in graphs: references to tensors, nodes and functions by name.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <unordered_map>
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

// The nodes of a graph, or of a function's body; functions of a library. Refers to them.
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

 private:
  const Nodes* nodes_;
  std::unordered_map<std::string, const tensorflow::NodeDef*> by_name_;
  std::unordered_map<std::string, int> arguments_;
  mutable std::unordered_map<std::string, std::vector<Reader>> readers_;
};

class FunctionIndex {
 public:
  explicit FunctionIndex(const tensorflow::FunctionDefLibrary& library);
  // Null if there is none.
  const tensorflow::FunctionDef* Find(const std::string& name) const;

 private:
  std::unordered_map<std::string, const tensorflow::FunctionDef*> by_name_;
};

// The functions that a node names in its attributes.
std::vector<std::string> CalledFunctions(const tensorflow::NodeDef& node);
// Gives `graph` those functions of `library` that it calls, by way of others too, and no more: a saver's are
// as large as a model's.
void CopyNeededFunctions(const tensorflow::FunctionDefLibrary& library, tensorflow::GraphDef* graph);

}  // namespace savedmodel::engine
