// SPDX-License-Identifier: Apache-2.0
// A convolution or product with what follows it: the bias and the activation that one kernel of ours takes
// in.
#pragma once

#include <cstdint>

#include "engine/graph/rewriter.h"
#include "engine/ops/epilogue.h"

namespace savedmodel::engine {

struct Layer {
  tensorflow::NodeDef* root = nullptr;
  tensorflow::NodeDef* last = nullptr;  // what the readers read
  Epilogue epilogue;                    // without a bias if there is none
};

// Reads the epilogue from the nodes behind a convolution, or from the attributes of a fused one. False if the
// custom ops do not have it.
bool MatchLayer(tensorflow::NodeDef* convolution, Rewriter* graph, Layer* layer);
// Takes in an activation that alone reads the last node, if there is one.
void MatchActivation(Rewriter* graph, Layer* layer);
// With a bias of `channels` values: zeros, if the layer has none.
Epilogue WithBias(const Layer& layer, std::int64_t channels, Rewriter* graph);
// Makes `node` TensorFlow's fused op of a convolution and this epilogue, as oneDNN applies it.
void BecomeFused(tensorflow::NodeDef* node, const tensorflow::NodeDef& convolution, const Epilogue& epilogue,
                 Rewriter* graph);
// Makes the root `node`, which does all that the layer does.
void ReplaceLayer(const Layer& layer, const tensorflow::NodeDef& node, Rewriter* graph);

}  // namespace savedmodel::engine
