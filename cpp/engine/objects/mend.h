// SPDX-License-Identifier: Apache-2.0
// Variables that signatures read, and the nodes that assign their values.
#pragma once

#include <map>
#include <string>

#include "savedmodel/signature.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

// Keras 3 leaves two variables in the graph for each that tf.saved_model.save finds: signatures read one, and
// the checkpoint is restored to the other. The object graph has one object for both; here they get one name.
// `path`: of the SavedModel. Returns the number of repaired variables; none if files can't be read.
int MendVariables(const std::string& path, tensorflow::MetaGraphDef* meta_graph);

// Throws Error (kFailedPrecondition) if a signature reads a variable to which the restore, the init op and
// all signatures assign no value.
void CheckInitialized(const std::string& path, const tensorflow::MetaGraphDef& meta_graph,
                      const std::map<std::string, Signature>& signatures);

}  // namespace savedmodel::engine
