// SPDX-License-Identifier: Apache-2.0
// Layer norms that TensorFlow's remapper makes one op of, with an epsilon of 0.001 in place of their own:
// those that name the last axis by its number, and not by -1.
#pragma once

#include <string>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

// Switches the remapper off where a graph or its functions have one, and says so; empty otherwise. May find
// one where TensorFlow would not.
std::string LeaveOutRemapping(const tensorflow::GraphDef& graph, tensorflow::ConfigProto* config);

}  // namespace savedmodel::engine
