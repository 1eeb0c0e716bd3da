// SPDX-License-Identifier: Apache-2.0
// float32 images, NHWC, times a factor for each channel, or for each channel of each image.
#pragma once

#include <string>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kScaleChannelsOp[] = "_SavedmodelScaleChannels";

// `factors`: [images or 1, 1, 1, channels].
tensorflow::NodeDef ScaleChannelsNode(const std::string& x, const std::string& factors);

}  // namespace savedmodel::engine
