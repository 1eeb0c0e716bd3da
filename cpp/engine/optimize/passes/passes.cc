// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/passes.h"

#include "engine/optimize/passes/arithmetic.h"
#include "engine/optimize/passes/attention.h"
#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/dense.h"
#include "engine/optimize/passes/gelu.h"
#include "engine/optimize/passes/layer_norm.h"
#include "engine/optimize/passes/softmax.h"

namespace savedmodel::engine {

const std::vector<Pass>& Passes() {
  static const auto* const passes = new std::vector<Pass>{
      {"affine", "scales and shifts become part of weights and biases", FoldAffineIntoWeights},
      {"batch norm", "batch norms that no weights take in become a product and a sum", SplitBatchNorm},
      {"pad", "zeros around images become paddings", FoldPads},
      {"hard swish", "convolutions apply the hard swish behind them", FuseHardSwish},
      {"residual", "convolutions add the other branch of a residual block", FuseResidualAdds},
      {"pointwise", "1x1 convolutions become matrix products", ReplacePointwiseConvolutions},
      {"winograd", "3x3 convolutions with fewer products", UseWinograd},
      {"grouped", "grouped convolutions apply the activation behind them", ReplaceSlowGroupedConvolutions},
      {"depthwise", "depthwise convolutions apply the activation behind them", ReplaceDepthwiseConvolutions},
      {"squeeze-excite", "means of images, and factors for their channels", ReplaceSqueezeAndExcite},
      {"bottleneck", "a depthwise convolution and the 1x1 convolutions around it become one op",
       FuseBottlenecks},
      {"gelu", "GELU written out becomes one op", FuseGelu},
      {"layer_norm", "layer normalization written out becomes one op", FuseLayerNorm},
      {"tensordot", "products of rows without reshapes around them", ReplaceTensordot},
      {"dense", "a matrix product, its bias and its activation become one op", FuseDense},
      {"attention", "scores, mask, softmax and values of all heads become one op", FuseAttention},
      {"softmax", "softmax without oneDNN's set-up", ReplaceSoftmax},
      {"arithmetic", "sums and products with constants, one after the other, become one op", FuseArithmetic},
  };
  return *passes;
}

}  // namespace savedmodel::engine
