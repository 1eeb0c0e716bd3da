// SPDX-License-Identifier: Apache-2.0
// Rewrites function calls, loops and branches: removes compilers and missing devices, lowers loops.
#pragma once

#include <algorithm>

#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// True if `is_so` is true of a node of the graph or of its functions.
template <typename IsSo>
bool AnyNode(const tensorflow::GraphDef& graph, const IsSo& is_so) {
  const auto& functions = graph.library().function();
  return std::any_of(graph.node().begin(), graph.node().end(), is_so) ||
         std::any_of(functions.begin(), functions.end(), [&](const tensorflow::FunctionDef& function) {
           return std::any_of(function.node_def().begin(), function.node_def().end(), is_so);
         });
}

// Calls `change` with each node of a graph and of its functions.
template <typename Change>
void ForEachNode(tensorflow::GraphDef* graph, const Change& change) {
  for (tensorflow::NodeDef& node : *graph->mutable_node()) change(&node);
  for (tensorflow::FunctionDef& function : *graph->mutable_library()->mutable_function()) {
    for (tensorflow::NodeDef& node : *function.mutable_node_def()) change(&node);
  }
}

// Functions that TensorFlow would compile (jit_compile=True) become plain ones, where all their ops have
// kernels for the CPU.
void CompileNoFunctions(tensorflow::GraphDef* graph);

// Nodes in functions name no device any more: where there is but one, TensorFlow runs those there that ask
// for another.
void ClearDevicesInFunctions(tensorflow::GraphDef* graph);

// True if the graph itself has loops or branches as functions.
bool HasLoops(const tensorflow::GraphDef& graph);
// Loops and branches become Switch and Merge nodes when an executor is made of the graph.
void LowerLoops(tensorflow::GraphDef* graph);

}  // namespace savedmodel::engine
