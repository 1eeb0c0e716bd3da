// SPDX-License-Identifier: Apache-2.0
// _SavedmodelGrouped: activation(grouped convolution + bias + addend) of float32 images, NHWC, with constant
// weights, which are packed at the first run.
#pragma once

#include "engine/ops/epilogue.h"
#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kGroupedOp[] = "_SavedmodelGrouped";

// `convolution`: a Conv2D, or _FusedConv2D, in NHWC.
tensorflow::NodeDef GroupedNode(const tensorflow::NodeDef& convolution, const Epilogue& epilogue);

}  // namespace savedmodel::engine
