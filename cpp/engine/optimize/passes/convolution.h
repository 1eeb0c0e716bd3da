// SPDX-License-Identifier: Apache-2.0
// The passes for convolutional networks. Each takes float32 in NHWC, leaves the rest alone, and returns how
// often it fired.
#pragma once

#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

int FoldAffineIntoWeights(Rewriter* graph);
int SplitBatchNorm(Rewriter* graph);
int FoldPads(Rewriter* graph);
int FuseHardSwish(Rewriter* graph);
int FuseResidualAdds(Rewriter* graph);
// Behind the others: it takes what they have fused.
int ReplacePointwiseConvolutions(Rewriter* graph);
int UseWinograd(Rewriter* graph);
int ReplaceGroupedConvolutions(Rewriter* graph);
// The same where TensorFlow has none that is as fast: oneDNN's are, but for a group for each channel.
int ReplaceSlowGroupedConvolutions(Rewriter* graph);
int ReplaceDepthwiseConvolutions(Rewriter* graph);
int FuseBottlenecks(Rewriter* graph);
int ReplaceSqueezeAndExcite(Rewriter* graph);

}  // namespace savedmodel::engine
