// SPDX-License-Identifier: Apache-2.0
// Which nodes of a graph as loaded a node of the optimized graph computes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "savedmodel/trace.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

using Origins = std::map<std::string, std::vector<TraceNode>>;

// By name of a node of the optimized graph: the node whose value it has (kReplacesAttr), if that is another.
using Replaced = std::map<std::string, std::string>;
Replaced FindReplaced(const tensorflow::GraphDef& optimized);

// `loaded`: with calls inlined. `optimized`: all nodes of the optimized graph. A node's origins are the node
// whose value it has and those before that, up to values that the optimized graph has too. Nodes that depend
// on no input are left out, and so are entries for nodes that stayed as they were.
Origins FindOrigins(const tensorflow::GraphDef& loaded, const std::vector<TraceNode>& optimized,
                    const Replaced& replaced = {});

}  // namespace savedmodel::engine
