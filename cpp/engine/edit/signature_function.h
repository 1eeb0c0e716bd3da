// SPDX-License-Identifier: Apache-2.0
// Makes a function that computes a signature.
#pragma once

#include <string>
#include <vector>

#include "engine/edit/saved_object.h"
#include "tensorflow/core/framework/function.pb.h"

namespace savedmodel::engine::edit {

struct SignatureFunction {
  tensorflow::FunctionDef definition;  // arguments: inputs by key, then `bound`; results: outputs by key
  std::vector<int> bound;              // nodes of the object graph
};

// Throws Error (kFailedPrecondition) if the graph needs an object that is not in `captures`.
SignatureFunction MakeSignatureFunction(const std::string& function_name,
                                        const tensorflow::SignatureDef& signature, const Captures& captures,
                                        const tensorflow::GraphDef& graph);

}  // namespace savedmodel::engine::edit
