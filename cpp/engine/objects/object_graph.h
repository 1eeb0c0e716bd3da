// SPDX-License-Identifier: Apache-2.0
// The object graph of a TF2 model: the functions that a program can call on the saved object.
#pragma once

#include <vector>

#include "savedmodel/inspect.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::engine {

std::vector<ConcreteFunctionInfo> ReadConcreteFunctions(const tensorflow::SavedObjectGraph& graph);

}  // namespace savedmodel::engine
