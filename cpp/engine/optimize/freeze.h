// SPDX-License-Identifier: Apache-2.0
// Replaces variables that are never written by constants, in the graph and in the functions of its loops.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/graph/constants.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

struct Frozen {
  int variables = 0;
  int reads = 0;
  std::int64_t bytes = 0;
  int kept = 0;  // variables that are read at run time
};

// `value` returns a variable's value by its VarHandleOp, or false for one that must stay. Calls must already
// be inlined.
Frozen Freeze(tensorflow::GraphDef* graph, ConstantPool* pool,
              const std::function<bool(const tensorflow::NodeDef& handle, tensorflow::Tensor* value)>& value);

}  // namespace savedmodel::engine
