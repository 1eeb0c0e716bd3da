// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes.h"

#include "engine/optimize/passes/convolution.h"

namespace savedmodel::engine {

const std::vector<Pass>& Passes() {
  static const auto* const passes = new std::vector<Pass>{
      {"affine", "scales and shifts become part of weights and biases", FoldAffineIntoWeights},
      {"batch norm", "batch norms that no weights take in become a product and a sum", SplitBatchNorm},
      {"pad", "zeros around images become paddings", FoldPads},
      {"hard swish", "convolutions apply the hard swish behind them", FuseHardSwish},
      {"residual", "convolutions add the other branch of a residual block", FuseResidualAdds},
  };
  return *passes;
}

}  // namespace savedmodel::engine
