// SPDX-License-Identifier: Apache-2.0
// _SavedmodelWinograd: activation(3x3 convolution of stride 1 + bias + addend) of float32 images, NHWC, with
// constant weights, which are transformed at the first run.
#pragma once

#include "engine/ops/epilogue.h"
#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kWinogradOp[] = "_SavedmodelWinograd";

// `convolution`: a Conv2D, or _FusedConv2D, of 3x3 in NHWC without strides and dilations.
tensorflow::NodeDef WinogradNode(const tensorflow::NodeDef& convolution, const Epilogue& epilogue);

}  // namespace savedmodel::engine
