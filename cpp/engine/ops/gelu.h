// SPDX-License-Identifier: Apache-2.0
// GELU of float32.
#pragma once

#include <string>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kGeluOp[] = "_SavedmodelGelu";

// `approximate`: by tanh.
tensorflow::NodeDef GeluNode(const std::string& x, bool approximate);

}  // namespace savedmodel::engine
