// SPDX-License-Identifier: Apache-2.0
// Variables that signatures read, and what gives them their values.
#pragma once

#include <map>
#include <string>

#include "savedmodel/signature.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

// Keras 3 leaves two variables in the graph for each that tf.saved_model.save finds: signatures read one, the
// checkpoint is restored to the other. They are one in the object graph, and get one name here. `path`: of
// the SavedModel. Returns how many were mended; files that can't be read mend none.
int MendVariables(const std::string& path, tensorflow::MetaGraphDef* meta_graph);

// Throws Error (kFailedPrecondition) if a signature reads a variable that nothing gives a value: neither the
// restore, nor the init op, nor a signature.
void CheckInitialized(const std::string& path, const tensorflow::MetaGraphDef& meta_graph,
                      const std::map<std::string, Signature>& signatures);

}  // namespace savedmodel::engine
