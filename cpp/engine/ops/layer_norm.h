// SPDX-License-Identifier: Apache-2.0
// Layer normalization of float32 over the last axis.
#pragma once

#include <string>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kLayerNormOp[] = "_SavedmodelLayerNorm";

// `gamma` and `beta`: of one dimension.
tensorflow::NodeDef LayerNormNode(const std::string& x, const std::string& gamma, const std::string& beta,
                                  float epsilon);

}  // namespace savedmodel::engine
