// SPDX-License-Identifier: Apache-2.0
// The rewrites, one file each. Each takes float32, images in NHWC, leaves the rest alone, and returns how
// often it fired. Each keeps the arithmetic of float32 up to rounding.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

struct Pass {
  struct After {
    const char* pass;
    const char* reason;
  };

  const char* name;
  const char* what;               // for the report
  int (*apply)(Rewriter* graph);  // returns how often it fired
  std::vector<After> after;       // passes that have to run before it
};

int SimplifyDilations(Rewriter* graph);
int SimplifyConvolutionsOverTime(Rewriter* graph);
int FoldAffineIntoWeights(Rewriter* graph);
int SplitBatchNorm(Rewriter* graph);
int FoldPads(Rewriter* graph);
int FuseHardSwish(Rewriter* graph);
int FuseResidualAdds(Rewriter* graph);
int ReplacePointwiseConvolutions(Rewriter* graph);
int UseWinograd(Rewriter* graph);
int ReplaceGroupedConvolutions(Rewriter* graph);
// The same where TensorFlow has none that is as fast: oneDNN's are, but for a group for each channel.
int ReplaceSlowGroupedConvolutions(Rewriter* graph);
// Those of one group over time with an activation that oneDNN's do not apply.
int ReplaceConvolutionsOverTime(Rewriter* graph);
// Convolutions of one group that are `chosen` become an op that multiplies windows with weights.
int ReplaceConvolutions(Rewriter* graph, const std::function<bool(const tensorflow::NodeDef&)>& chosen);
int ReplaceDepthwiseConvolutions(Rewriter* graph);
int ReplaceSqueezeAndExcite(Rewriter* graph);
int FuseBottlenecks(Rewriter* graph);
int FuseGelu(Rewriter* graph);
int FuseLayerNorm(Rewriter* graph);
int ReplaceTensordot(Rewriter* graph);
int FuseDense(Rewriter* graph);
int FuseAttention(Rewriter* graph);
int ReplaceSoftmax(Rewriter* graph);
int ConcatenateRows(Rewriter* graph);
int FuseArithmetic(Rewriter* graph);

// In the order in which they run, between constant folding and TensorFlow's own fusions.
const std::vector<Pass>& Passes();

}  // namespace savedmodel::engine
