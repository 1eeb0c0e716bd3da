// SPDX-License-Identifier: Apache-2.0
// Adapts the saver's nodes to fewer variables.
#pragma once

#include <string>

#include "engine/edit/needed.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine::edit {

// Turns TF2's save and restore functions into nodes of the graph, as in TensorFlow 1.
void InlineSaver(tensorflow::MetaGraphDef* meta_graph);

// Limits RestoreV2 to the outputs that needed nodes read, and SaveV2 to values computed from needed
// variables.
void ShrinkSaver(const NeededNodes& needed, tensorflow::GraphDef* graph);

}  // namespace savedmodel::engine::edit
