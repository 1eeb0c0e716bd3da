// SPDX-License-Identifier: Apache-2.0
// Replaces calls of functions by the functions' bodies.
#pragma once

#include <string>

#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine::edit {

// The function that a node calls, by (Stateful)PartitionedCall or like an op; else "".
std::string CalledBy(const tensorflow::NodeDef& node);

// The body's nodes are named "call/node"; a node with the call's name and results stays. Leaves the rest of
// the graph unchanged. Throws Error.
void InlineCall(const std::string& call, tensorflow::GraphDef* graph);

}  // namespace savedmodel::engine::edit
