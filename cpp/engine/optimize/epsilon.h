// SPDX-License-Identifier: Apache-2.0
// Layer norms that TensorFlow's remapper fuses with a wrong epsilon of 0.001: those that name the last axis
// by its number instead of -1.
#pragma once

#include <string>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

// Switches the remapper off if a graph or its functions contain such a layer norm, and says so; else returns
// an empty string. May find one where TensorFlow would not.
std::string LeaveOutRemapping(const tensorflow::GraphDef& graph, tensorflow::ConfigProto* config);

}  // namespace savedmodel::engine
