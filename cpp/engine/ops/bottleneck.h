// SPDX-License-Identifier: Apache-2.0
// _SavedmodelBottleneck: a depthwise convolution with the 1x1 convolutions before and behind it, of which one
// may be missing, in one op. float32 images, NHWC.
#pragma once

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kBottleneckOp[] = "_SavedmodelBottleneck";

// Of a node of kDepthwiseOp and those of kDenseOp before and behind it; one of these may be null.
tensorflow::NodeDef BottleneckNode(const tensorflow::NodeDef* expand, const tensorflow::NodeDef& depthwise,
                                   const tensorflow::NodeDef* project);

}  // namespace savedmodel::engine
