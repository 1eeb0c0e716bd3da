// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {

namespace {

constexpr Pass::After kPads{"pad", "it takes a convolution's paddings"};
constexpr Pass::After kHardSwish{"hard swish",
                                 "it takes what is fused into a convolution, and does not look for it"};
constexpr Pass::After kResidual{"residual", "the same"};

}  // namespace

const std::vector<Pass>& Passes() {
  static const auto* const passes = new std::vector<Pass>{
      {"dilations", "dilated convolutions without a rearranged image", SimplifyDilations, {}},
      {"affine",
       "scales and shifts become part of weights and biases",
       FoldAffineIntoWeights,
       {{"dilations", "a scale follows the rearranged image"}}},
      {"over time",
       "paddings, biases and activations of convolutions over time meet them",
       SimplifyConvolutionsOverTime,
       {{"affine", "it leaves one BiasAdd behind a convolution over time"}}},
      {"batch norm",
       "batch norms that no weights take in become a product and a sum",
       SplitBatchNorm,
       {{"affine", "weights take in those that they can"}}},
      {"pad",
       "zeros around images become paddings",
       FoldPads,
       {{"over time", "it moves zeros of sequences to images"}}},
      {"hard swish",
       "convolutions apply the hard swish behind them",
       FuseHardSwish,
       {{"affine", "one BiasAdd is left behind a convolution"}}},
      {"residual",
       "convolutions add the other branch of a residual block",
       FuseResidualAdds,
       {{"affine", "one BiasAdd is left behind a convolution"}}},
      {"pointwise",
       "1x1 convolutions become matrix products",
       ReplacePointwiseConvolutions,
       {kHardSwish, kResidual}},
      {"winograd", "3x3 convolutions with fewer products", UseWinograd, {kPads, kHardSwish, kResidual}},
      {"grouped",
       "grouped convolutions apply the activation behind them",
       ReplaceSlowGroupedConvolutions,
       {kPads, kHardSwish, kResidual}},
      {"activation over time",
       "convolutions over time apply the tanh, sigmoid or swish behind them",
       ReplaceConvolutionsOverTime,
       {{"over time", "it moves the activation to the convolution"}, kPads}},
      {"depthwise",
       "depthwise convolutions apply the activation behind them",
       ReplaceDepthwiseConvolutions,
       {kPads, kHardSwish}},
      {"squeeze-excite",
       "means of images, and factors for their channels",
       ReplaceSqueezeAndExcite,
       {{"affine", "constant factors are part of weights by then"}}},
      {"bottleneck",
       "a depthwise convolution and the 1x1 convolutions around it become one op",
       FuseBottlenecks,
       {{"pointwise", "it is made of their ops"},
        {"grouped", "these may be depthwise convolutions"},
        {"depthwise", "it is made of their ops"}}},
      {"gelu", "GELU written out becomes one op", FuseGelu, {}},
      {"layer_norm", "layer normalization written out becomes one op", FuseLayerNorm, {}},
      {"tensordot", "products of rows without reshapes around them", ReplaceTensordot, {}},
      {"dense",
       "a matrix product, its bias and its activation become one op",
       FuseDense,
       {{"gelu", "it is an activation that a dense layer applies"},
        {"tensordot", "it makes matrix products"}}},
      {"attention",
       "scores, mask, softmax and values of all heads become one op",
       FuseAttention,
       {{"dense", "products with weights are not attention's"}}},
      {"softmax",
       "softmax without oneDNN's set-up",
       ReplaceSoftmax,
       {{"attention", "it looks for TensorFlow's softmax"}}},
      {"embeddings", "embeddings side by side become one op", ConcatenateRows, {}},
      {"arithmetic",
       "sums and products with constants, one after the other, become one op",
       FuseArithmetic,
       {{"batch norm", "it makes products and sums"},
        {"squeeze-excite", "what is left are factors that are constant"},
        {"layer_norm", "it has sums and products with constants inside"},
        {"gelu", "it has sums and products with constants inside"},
        {"dense", "its bias is a sum with a constant"},
        {"attention", "its scale is a product with a constant"},
        {"softmax", "it takes a scale"}}},
  };
  return *passes;
}

}  // namespace savedmodel::engine
