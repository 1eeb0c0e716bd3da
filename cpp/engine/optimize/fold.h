// SPDX-License-Identifier: Apache-2.0
// Folds constant expressions, if one of the constants is in the pool beside the graph.
#pragma once

#include "engine/graph/constants.h"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// Moves large constants of the graph itself, as in a frozen graph, into the pool.
void PoolLargeConstants(tensorflow::GraphDef* graph, ConstantPool* pool);

// Returns the number of new constants. TensorFlow's own folding does the rest.
int FoldLargeConstants(tensorflow::GraphDef* graph, tensorflow::Device* device, ConstantPool* pool);
// The same for constants of any size, if TensorFlow's folding must not see the graph.
int FoldAllConstants(tensorflow::GraphDef* graph, tensorflow::Device* device, ConstantPool* pool);

}  // namespace savedmodel::engine
