// SPDX-License-Identifier: Apache-2.0
// Arguments and results of functions of the object graph, as Python has them.
#pragma once

#include <string>
#include <vector>

#include "savedmodel/saved_function.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::engine {

Structure ReadStructure(const tensorflow::StructuredValue& value);

// With the tensors of both. `parameters`: SavedFunction's.
ConcreteFunction ReadConcreteFunction(const std::string& name,
                                      const tensorflow::SavedConcreteFunction& concrete,
                                      const Structure& parameters);

// A field of a named tuple; null if it has none.
const Structure* Field(const Structure& tuple, const std::string& name);

}  // namespace savedmodel::engine
