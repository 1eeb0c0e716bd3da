// SPDX-License-Identifier: Apache-2.0
// Refuses graphs on which TensorFlow fails a CHECK, which ends the process, or never comes back.
#pragma once

#include <string>

#include "engine/files/graph_faults.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

// Throws Error (kInvalidArgument) that names the node and what is wrong. docs/untrusted.md lists the checks.
void CheckGraph(const std::string& path, const tensorflow::MetaGraphDef& meta_graph,
                const GraphLimits& limits = GraphLimits());

}  // namespace savedmodel::engine
