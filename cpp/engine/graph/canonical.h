// SPDX-License-Identifier: Apache-2.0
// Recognizes functions that compute the same: graphs that differ in names only.
#pragma once

#include <string>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// The same text for two graphs if they are equal but for the names of nodes, functions and tensors. `feeds`
// are Placeholder nodes, `fetches` what the graph computes; both count in their order. Empty for a graph
// whose copies must not share state: one that writes, draws random numbers or uses an unknown op.
std::string CanonicalKey(const tensorflow::GraphDef& graph, const std::vector<std::string>& feeds,
                         const std::vector<std::string>& fetches);

}  // namespace savedmodel::engine
