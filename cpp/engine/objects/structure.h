// SPDX-License-Identifier: Apache-2.0
// The Python structure of arguments and results of functions of the object graph.
#pragma once

#include <string>
#include <vector>

#include "savedmodel/saved_function.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::engine {

Structure ReadStructure(const tensorflow::StructuredValue& value);

// Includes the tensors of its arguments and results. `parameters`: see SavedFunction.
ConcreteFunction ReadConcreteFunction(const std::string& name,
                                      const tensorflow::SavedConcreteFunction& concrete,
                                      const Structure& parameters);

// A field of a named tuple; null if it is missing.
const Structure* Field(const Structure& tuple, const std::string& name);

}  // namespace savedmodel::engine
