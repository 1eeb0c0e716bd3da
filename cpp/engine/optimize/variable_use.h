// SPDX-License-Identifier: Apache-2.0
// Which resource variables a graph only reads.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// What two VarHandleOp nodes have in common if they name the same variable; empty for one without a name.
std::string VariableKey(const tensorflow::NodeDef& handle);

// Keys of the variables that a run of `fetches` ("node:0") may write, or whose handles it leads to where they
// can't be followed, in the graph or in the functions that it calls.
std::set<std::string> WrittenVariables(const tensorflow::GraphDef& graph,
                                       const std::vector<std::string>& fetches);

// Ops that only read the variable whose handle is their input 0.
bool ReadsVariable(const std::string& op);

}  // namespace savedmodel::engine
