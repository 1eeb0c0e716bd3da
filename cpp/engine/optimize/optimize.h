// SPDX-License-Identifier: Apache-2.0
// Optimizes the graph of a function: the same results in less time.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/graph/constants.h"
#include "engine/graph/isolate.h"
#include "savedmodel/optimization.h"
#include "savedmodel/options.h"
#include "tensorflow/core/common_runtime/device_set.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// `level` is not kNone. `float32_layers`: see LoadOptions.
// `value` returns the value of a VarHandleOp's variable that may become a constant, and false for others.
// Adds to `report`. Throws Error; `isolated` is then unusable.
void OptimizeGraph(const tensorflow::SessionOptions& options, const tensorflow::DeviceSet& devices,
                   Optimize level, const std::set<std::string>& float32_layers,
                   const std::function<bool(const tensorflow::NodeDef&, tensorflow::Tensor*)>& value,
                   ConstantPool* pool, IsolatedGraph* isolated, OptimizationReport* report);

// Its first step alone: function calls become part of the graph. Throws Error; `isolated` is then unusable.
void InlineCalls(const tensorflow::DeviceSet& devices, ConstantPool* pool, IsolatedGraph* isolated);

}  // namespace savedmodel::engine
