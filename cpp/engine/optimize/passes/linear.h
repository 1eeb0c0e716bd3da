// SPDX-License-Identifier: Apache-2.0
// Helpers for convolutions, matrix products, and values per channel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

// Conv2D, DepthwiseConv2dNative or MatMul in float32; its result has the channels last.
bool IsLinear(const Rewriter& graph, const tensorflow::NodeDef& node);
// These, Conv3D, and transposed convolutions of one group.
bool IsAnyLinear(const tensorflow::NodeDef& node, Rewriter* graph);
// The shape of the constant weights, four dimensions and none of 0, of a float32 convolution that has the
// channels last; of an unknown rank for others.
tensorflow::PartialTensorShape ConvolutionWeights(const Rewriter& graph,
                                                  const tensorflow::NodeDef& convolution);
// True if the image has as many channels as these weights.
bool IsOneGroup(const tensorflow::NodeDef& convolution, const tensorflow::PartialTensorShape& weights,
                Rewriter* graph);
// True of a list of integers, such as strides, also if there is none.
bool AreOnes(const tensorflow::NodeDef& node, const char* attribute);
// By axis of NHWC; ones if there is no such attribute.
std::vector<std::int64_t> SpatialAttribute(const tensorflow::NodeDef& node, const char* name);

// Channels of the result of an op of IsAnyLinear with these weights.
std::int64_t Channels(const tensorflow::NodeDef& linear, const tensorflow::Tensor& weights);
// Weights whose results are `scale` times, by channel, those of `weights`.
tensorflow::Tensor Scaled(const tensorflow::NodeDef& linear, const tensorflow::Tensor& weights,
                          const std::vector<double>& scale);

// One value for each channel, if `constant` is float32 and has no other effect on a tensor of `rank`
// dimensions, `channels` the last of them.
bool PerChannel(const tensorflow::Tensor& constant, int rank, std::int64_t channels,
                std::vector<double>* values);
tensorflow::Tensor FloatVector(const std::vector<double>& values);
bool AllFinite(const tensorflow::Tensor& values);

// FusedBatchNorm, V2 or V3 with constants, not training, of which the result alone is read: scale * x +
// shift.
bool IsConstantBatchNorm(const tensorflow::NodeDef& node, Rewriter* graph, std::vector<double>* scale,
                         std::vector<double>* shift);

// Bias of `channels` values behind `input`, in the place of `node`.
void BecomeBiasAdd(tensorflow::NodeDef* node, const std::string& input, const tensorflow::Tensor& bias,
                   Rewriter* graph);

}  // namespace savedmodel::engine
