// SPDX-License-Identifier: Apache-2.0
// Refuses graphs on which TensorFlow would fail a CHECK, which ends the process, or would never return.
#pragma once

#include <string>

#include "engine/files/graph_faults.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

// Throws Error (kInvalidArgument) that names the node and the fault. docs/untrusted.md lists the checks.
void CheckGraph(const std::string& path, const tensorflow::MetaGraphDef& meta_graph,
                const GraphLimits& limits = GraphLimits());

}  // namespace savedmodel::engine
