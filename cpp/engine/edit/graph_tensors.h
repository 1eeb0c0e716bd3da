// SPDX-License-Identifier: Apache-2.0
// Finds tensors of a graph by name, with their dtype and shape.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine::edit {

// Returns the full name, "node:0". Inlines the calls on the way to it. Throws UsageError.
std::string FindTensor(const std::string& name, tensorflow::GraphDef* graph);

// DType and shape of each tensor, by name; missing shapes are inferred. Throws UsageError for a tensor that
// no call can take or return.
std::map<std::string, tensorflow::TensorInfo> Describe(const tensorflow::GraphDef& graph,
                                                       const std::vector<std::string>& tensors);

}  // namespace savedmodel::engine::edit
