// SPDX-License-Identifier: Apache-2.0
// Dynamic int8 quantization: weights are constant, the scale of each row of the input is found as it comes.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/constants.h"
#include "engine/graph/isolate.h"

namespace savedmodel::engine {

// Uses int8 in the products of dense layers, 1x1 convolutions and bottlenecks where that is faster; returns
// their number. Adds to `notes` what stays float32.
int UseInt8(ConstantPool* pool, IsolatedGraph* isolated, std::vector<std::string>* notes);

}  // namespace savedmodel::engine
