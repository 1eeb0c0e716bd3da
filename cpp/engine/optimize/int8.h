// SPDX-License-Identifier: Apache-2.0
// Dynamic int8 quantization: weights are constant, the scale of each row of the input is found as it comes.
#pragma once

#include <set>
#include <string>

#include "engine/graph/constants.h"
#include "engine/graph/isolate.h"
#include "savedmodel/optimization.h"

namespace savedmodel::engine {

// Uses int8 in the products of dense layers, 1x1 convolutions and bottlenecks where that is faster; returns
// their number. Adds the layers to `report`, with notes on those that stay float32. `float32_layers` do.
int UseInt8(const std::set<std::string>& float32_layers, ConstantPool* pool, IsolatedGraph* isolated,
            OptimizationReport* report);

}  // namespace savedmodel::engine
