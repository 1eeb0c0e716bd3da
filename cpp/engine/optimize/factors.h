// SPDX-License-Identifier: Apache-2.0
// Graphs that TensorFlow's constant folding must not see. It moves constant factors behind a convolution into
// the convolution's weights. Where there are several, it may look at the shape of a factor under a name that
// another node had before, and end the process for a size that is not known. And it swaps what a BiasAdd adds
// to with a constant behind it, without a look whether that has as many channels.
#pragma once

#include <string>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

// Says why folding must be left out for a graph or its functions; empty if it need not. May find a reason
// where TensorFlow would do well: what passes values on counts as if it were not there.
std::string FoldingHazard(const tensorflow::GraphDef& graph);

// Switches constant folding off where it would end the process, and says so; empty otherwise.
std::string LeaveOutFolding(const tensorflow::GraphDef& graph, tensorflow::ConfigProto* config);
void LeaveOutFolding(tensorflow::ConfigProto* config);

}  // namespace savedmodel::engine
