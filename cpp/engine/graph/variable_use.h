// SPDX-License-Identifier: Apache-2.0
// Which variables a graph only reads.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// True for the variables of TensorFlow 1, whose node's output refers to the value itself.
bool IsReferenceVariable(const tensorflow::NodeDef& node);

// Identifies the variable that a node names; empty for a handle without a name.
std::string VariableKey(const tensorflow::NodeDef& handle);

// Keys of the variables that a run of `fetches` ("node:0") may write, or whose handles it leads to where they
// can't be followed, in the graph or in the functions that it calls.
std::set<std::string> WrittenVariables(const tensorflow::GraphDef& graph,
                                       const std::vector<std::string>& fetches);

// Ops that only read the variable whose handle is their input 0.
bool ReadsVariable(const std::string& op);

// True if the graph and its functions name no variable, table or other resource.
bool IsStandalone(const tensorflow::GraphDef& graph);

}  // namespace savedmodel::engine
