// SPDX-License-Identifier: Apache-2.0
// Counts the ops of a graph and its functions, separates those that only serve the loader, and checks
// OpRules.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "savedmodel/inspect.h"
#include "savedmodel/options.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

std::map<std::string, OpUse> CountOpUses(const tensorflow::MetaGraphDef& meta_graph);

// Throws Error (kPermissionDenied) if the rules refuse an op, unless it only serves the loader.
void CheckOps(const std::string& path, const tensorflow::MetaGraphDef& meta_graph, const OpRules& rules);

std::vector<std::string> ListRegisteredOps();

}  // namespace savedmodel::engine
