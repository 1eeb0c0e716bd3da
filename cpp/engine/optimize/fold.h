// SPDX-License-Identifier: Apache-2.0
// What depends on constants only is computed, where one of them is beside the graph.
#pragma once

#include "engine/graph/constants.h"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// Takes large constants of the graph itself into the pool, as a frozen graph has them.
void PoolLargeConstants(tensorflow::GraphDef* graph, ConstantPool* pool);

// How many nodes became constants. TensorFlow's own folding does the rest.
int FoldLargeConstants(tensorflow::GraphDef* graph, tensorflow::Device* device, ConstantPool* pool);
// The same for constants of any size, where TensorFlow's must not see the graph.
int FoldAllConstants(tensorflow::GraphDef* graph, tensorflow::Device* device, ConstantPool* pool);

}  // namespace savedmodel::engine
