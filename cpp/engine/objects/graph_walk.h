// SPDX-License-Identifier: Apache-2.0
// Follows the graph's handles through a run of some of its nodes and the functions that they call.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/graph/calls.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// The origin of a tensor.
struct TensorOrigin {
  std::string tensor;  // in the graph, "dense/kernel:0"; empty if it is in none
  std::string key;     // the key in variables/ under which a RestoreV2 reads it; or empty
};

// Refers to the GraphDef.
class GraphWalk {
 public:
  // `inputs`: origins of the node's data inputs. A call is visited before the function that it calls.
  using Visit = std::function<void(const tensorflow::NodeDef& node, const std::vector<TensorOrigin>& inputs)>;

  explicit GraphWalk(const tensorflow::GraphDef& graph) : graph_(graph), functions_(graph.library()) {}

  // Visits the nodes that a run of `start` (nodes or tensors) runs when `fed` tensors are given; each
  // function once for each set of arguments. Does not follow branches, which may not be taken.
  void Run(const std::vector<std::string>& start, const std::vector<std::string>& fed, const Visit& visit);
  // Visits one node of the graph, and no functions.
  void One(const tensorflow::NodeDef& node, const Visit& visit);

  const tensorflow::NodeDef* Find(const std::string& node) const { return graph_.Find(node); }
  const tensorflow::FunctionDef* FindFunction(const std::string& name) const { return functions_.Find(name); }

 private:
  struct Scope {
    const GraphView* body = nullptr;
    bool is_graph = false;
    std::vector<TensorOrigin> arguments;
  };

  TensorOrigin Trace(const Scope& scope, const std::string& tensor) const;
  std::vector<TensorOrigin> TraceInputs(const Scope& scope, const tensorflow::NodeDef& node) const;
  void Enter(const tensorflow::NodeDef& node, const std::vector<TensorOrigin>& inputs, int depth,
             const Visit& visit);
  const std::vector<std::string>& KeysOf(const tensorflow::NodeDef& constant) const;

  GraphView graph_;
  FunctionIndex functions_;
  std::unordered_map<const tensorflow::FunctionDef*, GraphView> bodies_;
  mutable std::unordered_map<const tensorflow::NodeDef*, std::vector<std::string>> keys_;
  std::map<std::string, bool> entered_;
};

}  // namespace savedmodel::engine
