// SPDX-License-Identifier: Apache-2.0
// Passes for convolutional networks: patterns that each replaces, near misses, and equal results.
#include <functional>

#include "engine/optimize/passes/passes.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::testing {
namespace {

using engine::FoldAffineIntoWeights;
using engine::FoldPads;
using engine::FuseHardSwish;
using engine::FuseResidualAdds;
using engine::ReplaceDepthwiseConvolutions;
using engine::ReplacePointwiseConvolutions;
using engine::ReplaceSqueezeAndExcite;
using engine::SplitBatchNorm;
using engine::UseWinograd;
using Ops = std::map<std::string, int>;

const Dims kOnes{1, 1, 1, 1};

std::string Convolve(GraphBuilder* g, const std::string& x, const Dims& weights, const char* padding = "SAME",
                     const Dims& strides = kOnes) {
  return g->Op("Conv2D", {x, g->Constant(weights)}, {{"strides", strides}, {"padding", padding}});
}
std::string Depthwise(GraphBuilder* g, const std::string& x, const Dims& weights,
                      const char* padding = "SAME", const Dims& strides = kOnes) {
  return g->Op("DepthwiseConv2dNative", {x, g->Constant(weights)},
               {{"strides", strides}, {"padding", padding}});
}
std::string Multiply(GraphBuilder* g, const std::string& x, const std::string& w, bool transposed = false) {
  return g->Op("MatMul", {x, w}, {{"transpose_a", false}, {"transpose_b", transposed}});
}
std::string BatchNorm(GraphBuilder* g, const std::string& x, std::int64_t channels, bool training = false) {
  return g->Op("FusedBatchNormV3",
               {x, g->Constant({channels}), g->Constant({channels}), g->Constant({channels}),
                g->Constant({channels}, 0.5F, 2)},
               {{"U", tf::DT_FLOAT}, {"is_training", training}, {"epsilon", 1e-3F}});
}

TEST(Affine, KerasBatchNormBehindConvolution) {
  GraphBuilder g;
  std::string x = Convolve(&g, g.Feed({-1, 6, 6, 3}), {3, 3, 3, 4});
  x = g.Op("Mul", {x, g.Constant({1, 1, 1, 4})});
  g.Fetch(g.Op("AddV2", {x, g.Constant({1, 1, 1, 4})}));
  const Rewritten r = Rewrite(g, FoldAffineIntoWeights);
  EXPECT_EQ(r.count, 1);
  EXPECT_EQ(r.ops, (Ops{{"Conv2D", 1}, {"BiasAdd", 1}}));
}

TEST(Affine, EveryStepInOneChain) {
  GraphBuilder g;
  std::string x = Convolve(&g, g.Feed({1, 6, 6, 3}), {3, 3, 3, 4});
  x = g.Op("BiasAdd", {x, g.Constant({4})});
  x = g.Op("Sub", {x, g.Constant({4})});
  x = g.Op("Mul", {g.Constant({4}), x});
  x = g.Op("Sub", {g.Constant({1, 4}), x});
  x = g.Op("RealDiv", {x, g.Constant({4}, 1, 2)});
  x = g.Op("Add", {g.Constant(Dims{}), x});
  x = BatchNorm(&g, x, 4);
  x = g.Op("BiasAdd", {x, g.Constant({4})});
  g.Fetch(g.Op("Relu", {x}));
  const Rewritten r = Rewrite(g, FoldAffineIntoWeights);
  EXPECT_EQ(r.count, 1);
  EXPECT_EQ(r.ops, (Ops{{"Conv2D", 1}, {"BiasAdd", 1}, {"Relu", 1}}));
}

TEST(Affine, DepthwiseWithMultiplier) {
  GraphBuilder g;
  std::string x = Depthwise(&g, g.Feed({1, 6, 6, 3}), {3, 3, 3, 2});
  x = g.Op("Mul", {x, g.Constant({6})});
  g.Fetch(x);
  EXPECT_EQ(Rewrite(g, FoldAffineIntoWeights).ops, (Ops{{"DepthwiseConv2dNative", 1}}));
}

TEST(Affine, MatMulWithEitherLayoutOfWeights) {
  for (const bool transposed : {false, true}) {
    GraphBuilder g;
    const std::string w = g.Constant(transposed ? Dims{5, 3} : Dims{3, 5});
    std::string x = Multiply(&g, g.Feed({-1, 3}), w, transposed);
    x = g.Op("Mul", {x, g.Constant({1, 5})});
    g.Fetch(g.Op("Sub", {x, g.Constant({5})}));
    EXPECT_EQ(Rewrite(g, FoldAffineIntoWeights).ops, (Ops{{"MatMul", 1}, {"BiasAdd", 1}}));
  }
}

TEST(Affine, OneDimensionalConvolution) {
  GraphBuilder g;
  std::string x = Convolve(&g, g.Feed({-1, 1, 6, 3}), {1, 3, 3, 4});
  x = g.Op("Squeeze", {x}, {{"squeeze_dims", Dims{1}}});
  x = g.Op("BiasAdd", {x, g.Constant({4})});
  g.Fetch(g.Op("Mul", {x, g.Constant({1, 1, 4})}));
  EXPECT_EQ(Rewrite(g, FoldAffineIntoWeights).ops, (Ops{{"Conv2D", 1}, {"Squeeze", 1}, {"BiasAdd", 1}}));
}

TEST(Affine, ThreeDimensionalConvolution) {
  GraphBuilder g;
  std::string x = g.Op("Conv3D", {g.Feed({-1, 4, 5, 6, 3}), g.Constant({2, 3, 3, 3, 4})},
                       {{"strides", Dims{1, 1, 1, 1, 1}}, {"padding", "SAME"}});
  x = g.Op("Mul", {x, g.Constant({1, 1, 1, 1, 4})});
  g.Fetch(g.Op("AddV2", {x, g.Constant({4})}));
  EXPECT_EQ(Rewrite(g, FoldAffineIntoWeights).ops, (Ops{{"Conv3D", 1}, {"BiasAdd", 1}}));
}

std::string Transpose(GraphBuilder* g, std::int32_t filters) {
  const std::string size = g->Ints({2, 8, 8, 4}, {4});
  return g->Op("Conv2DBackpropInput", {size, g->Constant({3, 3, 4, filters}), g->Feed({2, 4, 4, filters})},
               {{"strides", Dims{1, 2, 2, 1}}, {"padding", "SAME"}});
}

TEST(Affine, TransposedConvolution) {
  GraphBuilder g;
  const std::string x = g.Op("Mul", {Transpose(&g, 3), g.Constant({4})});
  g.Fetch(g.Op("Sub", {x, g.Constant({4})}));
  EXPECT_EQ(Rewrite(g, FoldAffineIntoWeights).ops, (Ops{{"Conv2DBackpropInput", 1}, {"BiasAdd", 1}}));
}

TEST(Affine, WeightsThatTwoConvolutionsShare) {
  GraphBuilder g;
  const std::string x = g.Feed({1, 6, 6, 3}), w = g.Constant({3, 3, 3, 4});
  const std::vector<Attribute> attributes{{"strides", kOnes}, {"padding", "VALID"}};
  g.Fetch(g.Op("Mul", {g.Op("Conv2D", {x, w}, attributes), g.Constant({4})}));
  g.Fetch(g.Op("Conv2D", {x, w}, attributes));
  const Rewritten r = Rewrite(g, FoldAffineIntoWeights);
  EXPECT_EQ(r.count, 1);
  EXPECT_EQ(r.ops, (Ops{{"Conv2D", 2}}));
}

TEST(Affine, LeavesOthersAlone) {
  const auto count = [](const std::function<void(GraphBuilder*, const std::string& conv)>& build) {
    GraphBuilder g;
    build(&g, Convolve(&g, g.Feed({1, 4, 4, 3}), {3, 3, 3, 4}));
    return Rewrite(g, FoldAffineIntoWeights).count;
  };
  using Name = const std::string&;
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("BiasAdd", {c, g->Constant({4})})); }), 0);
  // A second reader, or a fetch.
  EXPECT_EQ(count([](auto* g, Name c) {
              g->Fetch(g->Op("Mul", {c, g->Constant({4})}));
              g->Fetch(c);
            }),
            0);
  // Another axis: of height 4, of width 4, of the batch.
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("Mul", {c, g->Constant({4, 1, 1})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("Mul", {c, g->Constant({4, 1})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("Mul", {c, g->Constant({4, 1, 1, 1})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("Mul", {c, g->Constant({1, 1, 1, 1, 4})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("Mul", {c, g->Feed({4})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("Mul", {c, c})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("RealDiv", {g->Constant({4}), c})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(g->Op("Maximum", {c, g->Constant({4})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(BatchNorm(g, c, 4, true)); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) { g->Fetch(BatchNorm(g, c, 4) + ":1"); }), 0);
  EXPECT_EQ(count([](auto* g, Name c) {  // another node waits for the check
              const std::string check = g->Op("Relu", {c});
              g->Fetch(g->Op("Mul", {c, g->Constant({4}), "^" + check}));
            }),
            0);
}

TEST(Affine, LeavesWeightsThatAreFedAlone) {
  GraphBuilder g;
  const std::string x =
      g.Op("Conv2D", {g.Feed({1, 4, 4, 3}), g.Feed({3, 3, 3, 4})}, {{"strides", kOnes}, {"padding", "SAME"}});
  g.Fetch(g.Op("Mul", {x, g.Constant({4})}));
  EXPECT_EQ(Rewrite(g, FoldAffineIntoWeights).count, 0);
}

TEST(Affine, LeavesWhatWouldOverflowAlone) {
  GraphBuilder g;
  std::string x = Convolve(&g, g.Feed({1, 4, 4, 3}), {3, 3, 3, 4});
  x = g.Op("Mul", {x, g.Constant({4}, 1e30F, 2e30F)});
  g.Fetch(g.Op("Mul", {x, g.Constant({4}, 1e30F, 2e30F)}));
  tf::GraphDef graph = g.graph();
  engine::Rewriter rewriter(&graph);
  EXPECT_EQ(FoldAffineIntoWeights(&rewriter), 0);
}

TEST(BatchNorm, Alone) {
  GraphBuilder g;
  g.Fetch(g.Op("Relu", {BatchNorm(&g, g.Feed({-1, 4, 4, 5}), 5)}));
  g.Fetch(BatchNorm(&g, g.Feed({1, 2, 2, 3}), 3, true));
  const Rewritten r = Rewrite(g, SplitBatchNorm);
  EXPECT_EQ(r.count, 1);
  EXPECT_EQ(r.ops, (Ops{{"Mul", 1}, {"AddV2", 1}, {"Relu", 1}, {"FusedBatchNormV3", 1}}));
}

std::string Pad(GraphBuilder* g, const std::string& x, const std::vector<std::int32_t>& pads) {
  return g->Op("Pad", {x, g->Ints(pads, {4, 2})}, {{"Tpaddings", tf::DT_INT32}});
}

std::string PaddingOf(const Rewritten& r, const std::string& op) {
  for (const tf::NodeDef& node : r.graph.node()) {
    if (node.op() == op) return node.attr().at("padding").s();
  }
  return "";
}

TEST(Pad, IntoConvolutions) {
  struct Case {
    std::vector<std::int32_t> pads;
    std::int64_t size, stride, dilation;
    const char* padding;
  };
  for (const Case& c :
       {Case{{0, 0, 1, 1, 1, 1, 0, 0}, 6, 1, 1, "SAME"}, Case{{0, 0, 0, 1, 0, 1, 0, 0}, 6, 2, 1, "SAME"},
        Case{{0, 0, 1, 1, 1, 1, 0, 0}, 6, 2, 1, "EXPLICIT"}, Case{{0, 0, 2, 2, 2, 2, 0, 0}, 6, 1, 2, "SAME"},
        Case{{0, 0, 1, 1, 1, 1, 0, 0}, -1, 1, 1, "EXPLICIT"},
        Case{{0, 0, 3, 0, 0, 2, 0, 0}, 7, 1, 1, "EXPLICIT"}}) {
    for (const bool depthwise : {false, true}) {
      if (depthwise && c.dilation > 1) continue;
      GraphBuilder g;
      const std::string x = Pad(&g, g.Feed({2, c.size, c.size, 4}), c.pads);
      const Dims strides{1, c.stride, c.stride, 1};
      if (depthwise) {
        g.Fetch(Depthwise(&g, x, {3, 3, 4, 1}, "VALID", strides));
      } else {
        g.Fetch(g.Op(
            "Conv2D", {x, g.Constant({3, 3, 4, 8})},
            {{"strides", strides}, {"padding", "VALID"}, {"dilations", Dims{1, c.dilation, c.dilation, 1}}}));
      }
      const Rewritten r = Rewrite(g, FoldPads);
      const bool fires = !depthwise || std::string(c.padding) == "SAME";
      const char* op = depthwise ? "DepthwiseConv2dNative" : "Conv2D";
      EXPECT_EQ(r.count, fires ? 1 : 0);
      EXPECT_EQ(PaddingOf(r, op), fires ? c.padding : "VALID");
      EXPECT_EQ(r.ops, fires ? (Ops{{op, 1}}) : (Ops{{op, 1}, {"Pad", 1}}));
    }
  }
}

TEST(Pad, IntoMaxPoolOfWhatIsNotNegative) {
  for (const char* activation : {"Relu", "Relu6", "Elu"}) {
    GraphBuilder g;
    const std::string x = g.Op(activation, {g.Feed({-1, 6, 6, 4})});
    g.Fetch(g.Op("MaxPool", {Pad(&g, x, {0, 0, 1, 1, 1, 1, 0, 0})},
                 {{"ksize", Dims{1, 3, 3, 1}}, {"strides", Dims{1, 2, 2, 1}}, {"padding", "VALID"}}));
    const Rewritten r = Rewrite(g, FoldPads);
    EXPECT_EQ(r.count, std::string(activation) == "Elu" ? 0 : 1);
  }
}

TEST(Pad, LeavesOthersAlone) {
  const auto count = [](const std::vector<std::int32_t>& pads, const char* padding, float value) {
    GraphBuilder g;
    tf::Tensor scalar(tf::DT_FLOAT, tf::TensorShape({}));
    scalar.scalar<float>()() = value;
    const std::string x = g.Op("PadV2", {g.Feed({2, 6, 6, 4}), g.Ints(pads, {4, 2}), g.Value(scalar)},
                               {{"Tpaddings", tf::DT_INT32}});
    g.Fetch(Convolve(&g, x, {3, 3, pads[6] + 4, 8}, padding));
    return Rewrite(g, FoldPads).count;
  };
  EXPECT_EQ(count({0, 0, 1, 1, 1, 1, 0, 0}, "VALID", 0), 1);
  EXPECT_EQ(count({0, 0, 1, 1, 1, 1, 0, 0}, "VALID", 1), 0);
  EXPECT_EQ(count({0, 0, 1, 1, 1, 1, 0, 0}, "SAME", 0), 0);
  EXPECT_EQ(count({1, 0, 1, 1, 1, 1, 0, 0}, "VALID", 0), 0);
  EXPECT_EQ(count({0, 0, 1, 1, 1, 1, 1, 0}, "VALID", 0), 0);
}

TEST(Pad, StaysForItsOtherReaders) {
  GraphBuilder g;
  const std::string x = Pad(&g, g.Feed({2, 6, 6, 4}), {0, 0, 1, 1, 1, 1, 0, 0});
  g.Fetch(Convolve(&g, x, {3, 3, 4, 8}, "VALID"));
  g.Fetch(x);
  EXPECT_EQ(Rewrite(g, FoldPads).ops, (Ops{{"Conv2D", 1}, {"Pad", 1}}));
}

std::string Biased(GraphBuilder* g, const std::string& x, const Dims& weights) {
  return g->Op("BiasAdd", {Convolve(g, x, weights), g->Constant({weights[3]})});
}

TEST(Residual, SumAndActivation) {
  for (const char* activation : {"", "Relu", "Relu6", "Elu", "LeakyRelu", "Tanh"}) {
    GraphBuilder g;
    const std::string x = g.Feed({-1, 6, 6, 4});
    const std::string y = g.Op("AddV2", {Biased(&g, x, {3, 3, 4, 4}), x});
    g.Fetch(*activation == '\0' ? y : g.Op(activation, {y}));
    const Rewritten r = Rewrite(g, FuseResidualAdds);
    EXPECT_EQ(r.count, 1);
    EXPECT_EQ(r.ops.count("AddV2"), 0U);
    EXPECT_EQ(r.ops.size(), std::string(activation) == "Tanh" ? 2U : 1U);
  }
}

TEST(Residual, AddendsThatOthersNeedStay) {
  // When the kernel may overwrite the addend: a feed, a constant, a fetched value, one that is read later.
  GraphBuilder g;
  const std::string x = g.Feed({2, 6, 6, 4}), y = g.Op("Relu", {x});
  const std::string c = g.Constant({2, 6, 6, 4});
  for (const std::string& addend : {x, y, c}) {
    g.Fetch(g.Op("Relu", {g.Op("AddV2", {addend, Biased(&g, x, {3, 3, 4, 4})})}));
  }
  g.Fetch(y);
  g.Fetch(g.Op("Exp", {y}));
  g.Fetch(g.Op("Exp", {c}));
  EXPECT_EQ(Rewrite(g, FuseResidualAdds).count, 3);
}

TEST(Residual, OfTwoConvolutionsTheLater) {
  GraphBuilder g;
  const std::string x = g.Feed({-1, 6, 6, 4});
  const std::string near = Biased(&g, x, {1, 1, 4, 8});
  const std::string far = Biased(&g, g.Op("Relu", {Biased(&g, x, {3, 3, 4, 4})}), {1, 1, 4, 8});
  g.Fetch(g.Op("Relu", {g.Op("AddV2", {near, far})}));
  const Rewritten r = Rewrite(g, FuseResidualAdds);
  EXPECT_EQ(r.count, 1);
  EXPECT_EQ(r.ops, (Ops{{"_FusedConv2D", 1}, {"Conv2D", 2}, {"BiasAdd", 2}, {"Relu", 1}}));
  for (const tf::NodeDef& node : r.graph.node()) {
    if (node.op() == "_FusedConv2D") {
      EXPECT_EQ(node.input(3), near);
    }
  }
}

TEST(Residual, LeavesOthersAlone) {
  const auto count =
      [](const std::function<void(GraphBuilder*, const std::string&, const std::string&)>& build) {
        GraphBuilder g;
        const std::string x = g.Feed({-1, 6, 6, 4});
        build(&g, x, Biased(&g, x, {3, 3, 4, 4}));
        return Rewrite(g, FuseResidualAdds).count;
      };
  using Name = const std::string&;
  EXPECT_EQ(count([](auto* g, Name, Name b) { g->Fetch(g->Op("AddV2", {b, g->Feed({-1, 6, 6, 4})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name, Name b) { g->Fetch(g->Op("AddV2", {b, g->Feed({1, 1, 1, 4})})); }), 0);
  EXPECT_EQ(count([](auto* g, Name, Name b) { g->Fetch(g->Op("AddV2", {b, b})); }), 0);
  EXPECT_EQ(count([](auto* g, Name x, Name b) {
              g->Fetch(g->Op("AddV2", {b, x}));
              g->Fetch(b);
            }),
            0);
  EXPECT_EQ(count([](auto* g, Name x, Name b) { g->Fetch(g->Op("Sub", {b, x})); }), 0);
  EXPECT_EQ(count([](auto* g, Name, Name b) {  // the addend depends on the convolution
              g->Fetch(g->Op("AddV2", {b, g->Op("Relu", {b})}));
            }),
            0);
}

TEST(Residual, ActivationThatIsNotTheOnlyReader) {
  GraphBuilder g;
  const std::string x = g.Feed({-1, 6, 6, 4});
  const std::string sum = g.Op("AddV2", {Biased(&g, x, {3, 3, 4, 4}), x});
  g.Fetch(g.Op("Relu", {sum}));
  g.Fetch(sum);
  EXPECT_EQ(Rewrite(g, FuseResidualAdds).ops, (Ops{{"_FusedConv2D", 1}, {"Relu", 1}}));
}

tf::Tensor Scalar(float value) {
  tf::Tensor scalar(tf::DT_FLOAT, tf::TensorShape({}));
  scalar.scalar<float>()() = value;
  return scalar;
}

TEST(HardSwish, BehindEitherConvolution) {
  struct Case {
    bool depthwise, divides, fetches;
    float three;
    int count;
  };
  for (const Case& c : {Case{false, false, false, 3, 1}, Case{true, true, false, 3, 1},
                        Case{false, false, true, 3, 0}, Case{true, false, false, 2.5F, 0}}) {
    GraphBuilder g;
    const std::string image = g.Feed({-1, 6, 6, 4});
    std::string x = c.depthwise ? Depthwise(&g, image, {3, 3, 4, 1}) : Convolve(&g, image, {3, 3, 4, 4});
    x = g.Op("BiasAdd", {x, g.Constant({4}, -3, 3)});
    std::string gate = g.Op("Relu6", {g.Op("AddV2", {x, g.Value(Scalar(c.three))})});
    gate = g.Op(c.divides ? "RealDiv" : "Mul", {gate, g.Value(Scalar(c.divides ? 6.0F : 1.0F / 6))});
    g.Fetch(g.Op("Mul", {x, gate}));
    if (c.fetches) g.Fetch(x);
    const Rewritten r = Rewrite(g, FuseHardSwish);
    EXPECT_EQ(r.count, c.count);
    EXPECT_EQ(r.ops.size() == 1, c.count == 1);
  }
}

// Strides, paddings and sizes; the last are large enough for several threads.
TEST(Pointwise, ConvolutionsOfEveryShape) {
  for (const Dims& strides : {Dims{1, 1, 1, 1}, Dims{1, 2, 2, 1}, Dims{1, 1, 3, 1}}) {
    for (const char* padding : {"SAME", "VALID"}) {
      for (const Dims& image :
           {Dims{-1, 7, 5, 3}, Dims{3, 1, 1, 9}, Dims{2, 5, 4, 40}, Dims{2, 40, 33, 64}}) {
        GraphBuilder g;
        const std::string x = Convolve(&g, g.Feed(image), {1, 1, image[3], 70}, padding, strides);
        g.Fetch(g.Op("BiasAdd", {x, g.Constant({70})}));
        const Rewritten r = Rewrite(g, ReplacePointwiseConvolutions);
        EXPECT_EQ(r.count, 1);
        EXPECT_EQ(r.ops, (Ops{{"_SavedmodelDense", 1}}));
      }
    }
  }
}

TEST(Pointwise, WithAndWithoutBiasAndActivation) {
  for (const char* activation : {"", "Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid", "Softplus"}) {
    for (const bool bias : {false, true}) {
      GraphBuilder g;
      std::string x = Convolve(&g, g.Feed({-1, 6, 6, 20}), {1, 1, 20, 24});
      if (bias) x = g.Op("BiasAdd", {x, g.Constant({24})});
      g.Fetch(*activation == '\0' ? x : g.Op(activation, {x}));
      const Rewritten r = Rewrite(g, ReplacePointwiseConvolutions);
      EXPECT_EQ(r.count, 1);
      EXPECT_EQ(r.ops.size(), std::string(activation) == "Softplus" ? 2U : 1U) << activation;
    }
  }
}

TEST(Pointwise, SwishUnlessSomebodyElseReadsAPartOfIt) {
  for (const char* also : {"", "x", "sigmoid"}) {
    GraphBuilder g;
    const std::string x = Biased(&g, g.Feed({-1, 6, 6, 4}), {1, 1, 4, 33});
    const std::string sigmoid = g.Op("Sigmoid", {x});
    g.Fetch(g.Op("Mul", {sigmoid, x}));
    if (*also != '\0') g.Fetch(*also == 'x' ? x : sigmoid);
    const Rewritten r = Rewrite(g, ReplacePointwiseConvolutions);
    EXPECT_EQ(r.count, 1);
    EXPECT_EQ(r.ops.size(), *also == '\0' ? 1U : 3U);
  }
}

int FuseThenReplace(engine::Rewriter* rewriter) {
  FuseHardSwish(rewriter);
  FuseResidualAdds(rewriter);
  return ReplacePointwiseConvolutions(rewriter);
}

TEST(Pointwise, AddendsOfFusedConvolutions) {
  for (const char* activation : {"", "Relu", "Relu6", "Elu", "LeakyRelu"}) {
    GraphBuilder g;
    // One addend that may be overwritten, and one that may not.
    const std::string x = g.Feed({-1, 6, 6, 40}), y = g.Op("Exp", {x});
    for (const std::string& addend : {x, y}) {
      const std::string sum = g.Op("AddV2", {addend, Biased(&g, x, {1, 1, 40, 40})});
      g.Fetch(*activation == '\0' ? sum : g.Op(activation, {sum}));
    }
    const Rewritten r = Rewrite(g, FuseThenReplace);
    EXPECT_EQ(r.count, 2);
    EXPECT_EQ(r.ops, (Ops{{"_SavedmodelDense", 2}, {"Exp", 1}}));
  }
}

TEST(Pointwise, HardSwishOfFusedConvolutions) {
  GraphBuilder g;
  const std::string x = Biased(&g, g.Feed({-1, 6, 6, 4}), {1, 1, 4, 20});
  const std::string gate = g.Op("Relu6", {g.Op("AddV2", {x, g.Value(Scalar(3))})});
  g.Fetch(g.Op("Mul", {x, g.Op("Mul", {gate, g.Value(Scalar(1.0F / 6))})}));
  EXPECT_EQ(Rewrite(g, FuseThenReplace).ops, (Ops{{"_SavedmodelDense", 1}}));
}

TEST(Pointwise, LeavesOthersAlone) {
  const auto count = [](const Dims& image, const Dims& weights, const std::vector<Attribute>& more) {
    GraphBuilder g;
    std::vector<Attribute> attributes{{"strides", kOnes}, {"padding", "VALID"}};
    attributes.insert(attributes.end(), more.begin(), more.end());
    g.Fetch(g.Op("Conv2D", {g.Feed(image), g.Constant(weights)}, attributes));
    tf::GraphDef graph = g.graph();
    engine::Rewriter rewriter(&graph);
    return ReplacePointwiseConvolutions(&rewriter);
  };
  const Dims image{2, 6, 6, 4}, weights{1, 1, 4, 8};
  EXPECT_EQ(count(image, weights, {}), 1);
  EXPECT_EQ(count(image, {3, 3, 4, 8}, {}), 0);
  EXPECT_EQ(count(image, {1, 2, 4, 8}, {}), 0);
  EXPECT_EQ(count(image, {1, 1, 2, 8}, {}), 0);  // groups
  EXPECT_EQ(count({2, 6, 6, -1}, weights, {}), 0);
  EXPECT_EQ(count({2, 4, 6, 6}, weights, {{"data_format", "NCHW"}}), 0);
  EXPECT_EQ(count(image, weights, {{"T", tf::DT_BFLOAT16}}), 0);
  EXPECT_EQ(
      count(image, weights, {{"padding", "EXPLICIT"}, {"explicit_paddings", Dims{0, 0, 1, 1, 1, 1, 0, 0}}}),
      0);
  GraphBuilder g;  // weights that are fed
  g.Fetch(g.Op("Conv2D", {g.Feed(image), g.Feed(weights)}, {{"strides", kOnes}, {"padding", "SAME"}}));
  EXPECT_EQ(Rewrite(g, ReplacePointwiseConvolutions).count, 0);
}

TEST(Winograd, ConvolutionsOfEveryShape) {
  for (const char* padding : {"SAME", "VALID"}) {
    for (const Dims& image : {Dims{-1, 7, 5, 32}, Dims{2, 12, 9, 40}, Dims{1, 40, 33, 64}}) {
      for (const std::int64_t results : {32, 70}) {
        GraphBuilder g;
        const std::string x = Convolve(&g, g.Feed(image), {3, 3, image[3], results}, padding);
        g.Fetch(g.Op("BiasAdd", {x, g.Constant({results})}));
        const Rewritten r = Rewrite(g, UseWinograd);
        EXPECT_EQ(r.count, 1);
        EXPECT_EQ(r.ops, (Ops{{"_SavedmodelWinograd", 1}}));
      }
    }
  }
}

TEST(Winograd, ImagesOfUnknownSize) {
  GraphBuilder g;
  g.Fetch(Convolve(&g, g.Feed({-1, -1, -1, 32}), {3, 3, 32, 32}));
  EXPECT_EQ(Rewrite(g, UseWinograd).ops, (Ops{{"_SavedmodelWinograd", 1}}));
}

TEST(Winograd, ExplicitPadding) {
  GraphBuilder g;
  g.Fetch(g.Op(
      "Conv2D", {g.Feed({2, 8, 9, 32}), g.Constant({3, 3, 32, 33})},
      {{"strides", kOnes}, {"padding", "EXPLICIT"}, {"explicit_paddings", Dims{0, 0, 2, 1, 0, 3, 0, 0}}}));
  EXPECT_EQ(Rewrite(g, UseWinograd).ops, (Ops{{"_SavedmodelWinograd", 1}}));
}

TEST(Winograd, WithAndWithoutBiasAndActivation) {
  for (const char* activation : {"", "Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid", "Softplus"}) {
    for (const bool bias : {false, true}) {
      GraphBuilder g;
      std::string x = Convolve(&g, g.Feed({-1, 6, 6, 32}), {3, 3, 32, 48});
      if (bias) x = g.Op("BiasAdd", {x, g.Constant({48})});
      g.Fetch(*activation == '\0' ? x : g.Op(activation, {x}));
      const Rewritten r = Rewrite(g, UseWinograd);
      EXPECT_EQ(r.count, 1);
      EXPECT_EQ(r.ops.size(), std::string(activation) == "Softplus" ? 2U : 1U) << activation;
    }
  }
}

int FuseThenWinograd(engine::Rewriter* rewriter) {
  FuseResidualAdds(rewriter);
  return UseWinograd(rewriter);
}

TEST(Winograd, AddendsOfFusedConvolutions) {
  for (const char* activation : {"", "Relu", "LeakyRelu"}) {
    GraphBuilder g;
    // One addend that may be overwritten, and one that may not.
    const std::string x = g.Feed({-1, 6, 6, 32}), y = g.Op("Exp", {x});
    for (const std::string& addend : {x, y}) {
      const std::string sum = g.Op("AddV2", {addend, Biased(&g, x, {3, 3, 32, 32})});
      g.Fetch(*activation == '\0' ? sum : g.Op(activation, {sum}));
    }
    const Rewritten r = Rewrite(g, FuseThenWinograd);
    EXPECT_EQ(r.count, 2);
    EXPECT_EQ(r.ops, (Ops{{"_SavedmodelWinograd", 2}, {"Exp", 1}}));
  }
}

TEST(Winograd, LeavesOthersAlone) {
  const auto count = [](const Dims& image, const Dims& weights, const std::vector<Attribute>& more) {
    GraphBuilder g;
    std::vector<Attribute> attributes{{"strides", kOnes}, {"padding", "VALID"}};
    attributes.insert(attributes.end(), more.begin(), more.end());
    g.Fetch(g.Op("Conv2D", {g.Feed(image), g.Constant(weights)}, attributes));
    tf::GraphDef graph = g.graph();
    engine::Rewriter rewriter(&graph);
    return UseWinograd(&rewriter);
  };
  const Dims image{2, 6, 6, 32}, weights{3, 3, 32, 32};
  EXPECT_EQ(count(image, weights, {}), 1);
  EXPECT_EQ(count(image, {1, 1, 32, 32}, {}), 0);
  EXPECT_EQ(count(image, {3, 1, 32, 32}, {}), 0);
  EXPECT_EQ(count(image, {5, 5, 32, 32}, {}), 0);
  EXPECT_EQ(count(image, {3, 3, 32, 16}, {}), 0);
  EXPECT_EQ(count({2, 6, 6, 16}, {3, 3, 16, 32}, {}), 0);
  EXPECT_EQ(count({2, 6, 6, 64}, weights, {}), 0);  // groups
  EXPECT_EQ(count({2, 6, 4, 32}, weights, {}), 0);
  EXPECT_EQ(count({2, 6, 6, -1}, weights, {}), 0);
  EXPECT_EQ(count(image, weights, {{"strides", Dims{1, 2, 2, 1}}}), 0);
  EXPECT_EQ(count(image, weights, {{"dilations", Dims{1, 2, 2, 1}}}), 0);
  EXPECT_EQ(count({2, 32, 6, 6}, weights, {{"data_format", "NCHW"}}), 0);
  EXPECT_EQ(count(image, weights, {{"T", tf::DT_BFLOAT16}}), 0);
  GraphBuilder g;  // weights that are fed
  g.Fetch(g.Op("Conv2D", {g.Feed(image), g.Feed(weights)}, {{"strides", kOnes}, {"padding", "SAME"}}));
  EXPECT_EQ(Rewrite(g, UseWinograd).count, 0);
}

TEST(Depthwise, ConvolutionsOfEveryShape) {
  for (const Dims& strides : {Dims{1, 1, 1, 1}, Dims{1, 2, 2, 1}}) {
    for (const char* padding : {"SAME", "VALID"}) {
      for (const Dims& image :
           {Dims{-1, 7, 5, 3}, Dims{2, 12, 9, 40}, Dims{1, 40, 33, 64}, Dims{-1, -1, -1, 16}}) {
        for (const std::int64_t window : {1, 2, 3, 5}) {
          if (image[1] < 0 && window > 2) continue;  // fed as 2
          GraphBuilder g;
          const std::string x = Depthwise(&g, g.Feed(image), {window, window, image[3], 1}, padding, strides);
          g.Fetch(g.Op("BiasAdd", {x, g.Constant({image[3]})}));
          const Rewritten r = Rewrite(g, ReplaceDepthwiseConvolutions);
          EXPECT_EQ(r.count, 1);
          EXPECT_EQ(r.ops, (Ops{{"_SavedmodelDepthwise", 1}}));
        }
      }
    }
  }
}

TEST(Depthwise, WithAndWithoutBiasAndActivation) {
  for (const char* activation : {"", "Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid", "Softplus"}) {
    for (const bool bias : {false, true}) {
      GraphBuilder g;
      std::string x = Depthwise(&g, g.Feed({-1, 6, 6, 20}), {3, 3, 20, 1});
      if (bias) x = g.Op("BiasAdd", {x, g.Constant({20})});
      g.Fetch(*activation == '\0' ? x : g.Op(activation, {x}));
      const Rewritten r = Rewrite(g, ReplaceDepthwiseConvolutions);
      EXPECT_EQ(r.count, 1);
      EXPECT_EQ(r.ops.size(), std::string(activation) == "Softplus" ? 2U : 1U) << activation;
    }
  }
}

TEST(Depthwise, SwishUnlessSomebodyElseReadsAPartOfIt) {
  for (const char* also : {"", "x", "sigmoid"}) {
    GraphBuilder g;
    const std::string x =
        g.Op("BiasAdd", {Depthwise(&g, g.Feed({-1, 6, 6, 33}), {3, 3, 33, 1}), g.Constant({33})});
    const std::string sigmoid = g.Op("Sigmoid", {x});
    g.Fetch(g.Op("Mul", {x, sigmoid}));
    if (*also != '\0') g.Fetch(*also == 'x' ? x : sigmoid);
    const Rewritten r = Rewrite(g, ReplaceDepthwiseConvolutions);
    EXPECT_EQ(r.count, 1);
    EXPECT_EQ(r.ops.size(), *also == '\0' ? 1U : 3U);
  }
}

TEST(Depthwise, ExplicitPadding) {
  GraphBuilder g;
  g.Fetch(g.Op("DepthwiseConv2dNative", {g.Feed({2, 8, 9, 5}), g.Constant({3, 3, 5, 1})},
               {{"strides", Dims{1, 2, 2, 1}},
                {"padding", "EXPLICIT"},
                {"explicit_paddings", Dims{0, 0, 2, 1, 0, 3, 0, 0}}}));
  EXPECT_EQ(Rewrite(g, ReplaceDepthwiseConvolutions).ops, (Ops{{"_SavedmodelDepthwise", 1}}));
}

int HardSwishThenDepthwise(engine::Rewriter* rewriter) {
  FuseHardSwish(rewriter);
  return ReplaceDepthwiseConvolutions(rewriter);
}

TEST(Depthwise, HardSwishOfFusedConvolutions) {
  GraphBuilder g;
  const std::string x =
      g.Op("BiasAdd", {Depthwise(&g, g.Feed({-1, 6, 6, 20}), {3, 3, 20, 1}), g.Constant({20})});
  const std::string gate = g.Op("Relu6", {g.Op("AddV2", {x, g.Value(Scalar(3))})});
  g.Fetch(g.Op("Mul", {x, g.Op("Mul", {gate, g.Value(Scalar(1.0F / 6))})}));
  EXPECT_EQ(Rewrite(g, HardSwishThenDepthwise).ops, (Ops{{"_SavedmodelDepthwise", 1}}));
}

TEST(Depthwise, LeavesOthersAlone) {
  const auto count = [](const Dims& weights, const std::vector<Attribute>& more) {
    GraphBuilder g;
    std::vector<Attribute> attributes{{"strides", kOnes}, {"padding", "VALID"}};
    attributes.insert(attributes.end(), more.begin(), more.end());
    const std::string w = weights.empty() ? g.Feed({3, 3, 4, 1}) : g.Constant(weights);
    g.Fetch(g.Op("DepthwiseConv2dNative", {g.Feed({2, 6, 6, 4}), w}, attributes));
    tf::GraphDef graph = g.graph();
    engine::Rewriter rewriter(&graph);
    return ReplaceDepthwiseConvolutions(&rewriter);
  };
  EXPECT_EQ(count({3, 3, 4, 1}, {}), 1);
  EXPECT_EQ(count({3, 3, 4, 2}, {}), 0);  // a multiplier
  EXPECT_EQ(count({}, {}), 0);            // weights that are fed
  EXPECT_EQ(count({3, 3, 4, 1}, {{"dilations", Dims{1, 2, 2, 1}}}), 0);
  EXPECT_EQ(count({3, 3, 4, 1}, {{"data_format", "NCHW"}}), 0);
  EXPECT_EQ(count({3, 3, 4, 1}, {{"T", tf::DT_DOUBLE}}), 0);
}

TEST(SqueezeAndExcite, MeansAndProducts) {
  for (const bool keep_dims : {false, true}) {
    GraphBuilder g;
    const std::string x = g.Feed({-1, 9, 7, 70});
    const auto mean = [&](const std::vector<std::int32_t>& axes) {
      return g.Op("Mean", {x, g.Ints(axes, {2})}, {{"keep_dims", keep_dims}, {"Tidx", tf::DT_INT32}});
    };
    const std::string a = mean({1, 2}), b = mean({-2, -3});
    if (keep_dims) {
      g.Fetch(g.Op("Mul", {g.Op("Sigmoid", {a}), x}));
      g.Fetch(g.Op("Mul", {x, b}));
      EXPECT_EQ(Rewrite(g, ReplaceSqueezeAndExcite).ops,
                (Ops{{"_SavedmodelSpatialMean", 2}, {"Sigmoid", 1}, {"_SavedmodelScaleChannels", 2}}));
    } else {
      g.Fetch(a);
      g.Fetch(b);
      EXPECT_EQ(Rewrite(g, ReplaceSqueezeAndExcite).ops, (Ops{{"_SavedmodelSpatialMean", 2}}));
    }
  }
}

// One image and many factors, and the reverse.
TEST(SqueezeAndExcite, BatchesThatBroadcast) {
  for (const bool one_image : {false, true}) {
    GraphBuilder g;
    const std::string x = g.Feed({one_image ? 1 : 3, 4, 5, 20}), f = g.Feed({one_image ? 3 : 1, 1, 1, 20});
    g.Fetch(g.Op("Mul", {f, x}));
    EXPECT_EQ(Rewrite(g, ReplaceSqueezeAndExcite).ops, (Ops{{"_SavedmodelScaleChannels", 1}}));
  }
}

TEST(SqueezeAndExcite, LeavesOthersAlone) {
  const auto product = [](const Dims& a, const Dims& b) {
    GraphBuilder g;
    g.Fetch(g.Op("Mul", {g.Feed(a), g.Feed(b)}));
    return Rewrite(g, ReplaceSqueezeAndExcite).count;
  };
  EXPECT_EQ(product({2, 4, 5, 8}, {2, 1, 1, 8}), 1);
  EXPECT_EQ(product({2, 4, 5, 8}, {2, 4, 5, 8}), 0);
  EXPECT_EQ(product({2, 4, 5, 8}, {8}), 0);
  EXPECT_EQ(product({2, 4, 5, 8}, {2, 4, 1, 8}), 0);
  EXPECT_EQ(product({2, 4, 5, 8}, {2, 1, 1, 1}), 0);
  EXPECT_EQ(product({2, 4, 5, 1}, {2, 1, 1, 8}), 0);
  EXPECT_EQ(product({2, 1, 1, 8}, {2, 1, 1, 8}), 0);
  const auto mean = [](const Dims& x, const std::vector<std::int32_t>& axes) {
    GraphBuilder g;
    g.Fetch(g.Op("Mean", {g.Feed(x), g.Ints(axes, {static_cast<std::int64_t>(axes.size())})},
                 {{"keep_dims", false}, {"Tidx", tf::DT_INT32}}));
    return Rewrite(g, ReplaceSqueezeAndExcite).count;
  };
  EXPECT_EQ(mean({2, 4, 5, 8}, {1, 2}), 1);
  EXPECT_EQ(mean({2, 4, 5, 8}, {2, 3}), 0);  // channels first
  EXPECT_EQ(mean({2, 4, 5, 8}, {1}), 0);
  EXPECT_EQ(mean({2, 4, 5, 8}, {1, 2, 3}), 0);
  EXPECT_EQ(mean({2, 4, 5}, {1, 2}), 0);
}

}  // namespace
}  // namespace savedmodel::testing
