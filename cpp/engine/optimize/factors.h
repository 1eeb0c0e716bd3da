// SPDX-License-Identifier: Apache-2.0
// Graphs that TensorFlow's constant folding must not see. It moves constant factors behind a convolution into
// the convolution's weights. With several factors, it may look up a factor's shape under a name that another
// node had before, and end the process on an unknown size. It also swaps the sum of a BiasAdd with a constant
// behind it, without checking that the constant has as many channels.
#pragma once

#include <string>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

// The reason to leave out folding for a graph or its functions; empty if there is none. May find one where
// TensorFlow would do well, because it looks through all nodes that pass values on.
std::string FoldingHazard(const tensorflow::GraphDef& graph);

// Switches constant folding off if it would end the process, and says so; else returns an empty string.
std::string LeaveOutFolding(const tensorflow::GraphDef& graph, tensorflow::ConfigProto* config);
void LeaveOutFolding(tensorflow::ConfigProto* config);

}  // namespace savedmodel::engine
