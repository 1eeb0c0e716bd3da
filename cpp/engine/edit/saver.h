// SPDX-License-Identifier: Apache-2.0
// The saver's nodes, for fewer variables.
#pragma once

#include <string>

#include "engine/edit/needed.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine::edit {

// TF2 saves and restores in functions; here that becomes nodes of the graph, as TensorFlow 1 has them.
void InlineSaver(tensorflow::MetaGraphDef* meta_graph);

// RestoreV2 reads what a needed node takes from it, and SaveV2 writes what is computed from needed variables.
void ShrinkSaver(const NeededNodes& needed, tensorflow::GraphDef* graph);

}  // namespace savedmodel::engine::edit
