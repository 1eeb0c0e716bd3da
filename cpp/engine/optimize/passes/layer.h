// SPDX-License-Identifier: Apache-2.0
// A convolution or product with what follows it: the bias and the activation that one kernel of ours takes
// in.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>

#include "engine/graph/rewriter.h"
#include "engine/ops/epilogue.h"

namespace savedmodel::engine {

struct Layer {
  tensorflow::NodeDef* root = nullptr;
  tensorflow::NodeDef* last = nullptr;  // what the readers read
  Epilogue epilogue;                    // without a bias if there is none
};

// Takes in an activation that alone reads the last node, if there is one.
void MatchActivation(Rewriter* graph, Layer* layer);
// With a bias of `channels` values: zeros, if the layer has none.
Epilogue WithBias(const Layer& layer, std::int64_t channels, Rewriter* graph);
// Makes `node` TensorFlow's fused op of a convolution and this epilogue, as oneDNN applies it.
void BecomeFused(tensorflow::NodeDef* node, const tensorflow::NodeDef& convolution, const Epilogue& epilogue,
                 Rewriter* graph);
// A float32 convolution with the channels last and constant weights, and what follows it.
struct ConvolutionLayer {
  const tensorflow::NodeDef& node;
  tensorflow::PartialTensorShape weights;  // [height, width, channels, results], none of 0
  Epilogue epilogue;                       // one that the custom ops have
};
// Replaces those of these ops that `chosen` accepts by the node that `make` builds, of a layer that has a
// bias. Returns their number.
int ReplaceConvolutionLayers(Rewriter* graph, std::initializer_list<const char*> ops,
                             const std::function<bool(const ConvolutionLayer& layer)>& chosen,
                             const std::function<tensorflow::NodeDef(const ConvolutionLayer& layer)>& make);

}  // namespace savedmodel::engine
