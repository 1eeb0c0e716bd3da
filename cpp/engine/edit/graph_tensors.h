// SPDX-License-Identifier: Apache-2.0
// Tensors of a graph by name: where they are, and what dtype and shape they have.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine::edit {

// The full name, "node:0". Calls of functions on the way to it are inlined. Throws UsageError.
std::string FindTensor(const std::string& name, tensorflow::GraphDef* graph);

// DType and shape of each tensor, by name; what the graph does not say is inferred. Throws UsageError for a
// tensor that no call can take or return.
std::map<std::string, tensorflow::TensorInfo> Describe(const tensorflow::GraphDef& graph,
                                                       const std::vector<std::string>& tensors);

}  // namespace savedmodel::engine::edit
