// SPDX-License-Identifier: Apache-2.0
// Makes a graph of one call of a function of the object graph, so that it runs like a signature.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/graph.h"
#include "savedmodel/saved_function.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::engine {

// A graph of one call of a function, with the nodes of the model's graph that it needs.
struct CallGraph {
  explicit CallGraph(tensorflow::GraphDef whole) : graph(std::move(whole)), index(graph) {}
  tensorflow::GraphDef graph;
  GraphIndex index;
  tensorflow::GraphDef extension;  // the nodes that the model's graph does not have
  std::string name;                // of the call, unique in the model
};

struct FunctionCall {
  std::vector<tensorflow::NodeDef> nodes;  // placeholders, readers of assets' paths, the call
  std::vector<std::string> captures;       // tensors of the graph that the nodes need
  std::vector<TensorSpec> inputs;          // as in the trace, with the tensors' names
  std::vector<TensorSpec> outputs;
  std::string call;  // the node's name
};

// The nodes' names begin with `prefix`. `tensors`: see ObjectTensors. Throws Error if the function captures
// something other than a tensor of the graph, or differs from the object graph.
FunctionCall MakeFunctionCall(const tensorflow::GraphDef& graph, const tensorflow::SavedObjectGraph& objects,
                              const std::map<int, std::string>& tensors, const ConcreteFunction& function,
                              const std::string& prefix);

// Includes what the call needs of `graph`.
std::shared_ptr<CallGraph> MakeCallGraph(const tensorflow::GraphDef& graph, const FunctionCall& call,
                                         const std::string& device);

}  // namespace savedmodel::engine
