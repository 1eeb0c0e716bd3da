// SPDX-License-Identifier: Apache-2.0
// The mean of float32 images, NHWC, over height and width.
#pragma once

#include <string>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kSpatialMeanOp[] = "_SavedmodelSpatialMean";

tensorflow::NodeDef SpatialMeanNode(const std::string& x, bool keep_dims);

}  // namespace savedmodel::engine
