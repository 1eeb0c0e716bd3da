// SPDX-License-Identifier: Apache-2.0
// A convolution with what follows it: the bias and the activation that one kernel of ours takes in.
#pragma once

#include <string>

#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

struct Layer {
  tensorflow::NodeDef* convolution = nullptr;
  tensorflow::NodeDef* last = nullptr;  // what the readers read
  std::string bias;                     // empty: none
  std::string summand;                  // the same
  std::string activation;               // as ReadActivation() knows it
  float leaky_slope = 0.2F;
};

// What a convolution is followed by, or, if TensorFlow's fused ops are there already, is said to do. False if
// it is said to do what ours can't.
bool MatchLayer(tensorflow::NodeDef* convolution, Rewriter* graph, Layer* layer);
// The name of a bias of `channels` values, zeros if the layer has none.
std::string BiasOf(const Layer& layer, std::int64_t channels, Rewriter* graph);
// Puts activation and slope into the convolution, which has become the op that does it all.
void SetActivation(const Layer& layer, Rewriter* graph);

}  // namespace savedmodel::engine
