// SPDX-License-Identifier: Apache-2.0
// Softmax of float32 over the last axis, of logits times a positive scale.
#pragma once

#include <string>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kSoftmaxOp[] = "_SavedmodelSoftmax";

tensorflow::NodeDef SoftmaxNode(const std::string& logits, float scale);

}  // namespace savedmodel::engine
