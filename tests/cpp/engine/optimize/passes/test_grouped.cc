// SPDX-License-Identifier: Apache-2.0
// Grouped convolutions: patterns that become one op, near misses, and equal results.
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/util/util.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::testing {
namespace {

using engine::FuseResidualAdds;
using engine::ReplaceGroupedConvolutions;
using Ops = std::map<std::string, int>;

struct Grouped {
  Dims image{2, 9, 8, 12};
  Dims weights{3, 3, 4, 18};
  Dims strides{1, 1, 1, 1};
  Dims dilations{1, 1, 1, 1};
  const char* padding = "SAME";
};

std::string Convolve(GraphBuilder* g, const Grouped& c, const std::string& x) {
  return g->Op("Conv2D", {x, g->Constant(c.weights)},
               {{"strides", c.strides}, {"dilations", c.dilations}, {"padding", c.padding}});
}

TEST(GroupedConvolution, EveryShape) {
  Grouped plain, strided, dilated, pointwise, valid;
  strided.strides = {1, 2, 3, 1};
  dilated.dilations = {1, 2, 1, 1};
  pointwise.weights = {1, 1, 2, 6};
  valid.padding = "VALID";
  for (const Grouped& c : {plain, strided, dilated, pointwise, valid}) {
    for (const bool known : {true, false}) {
      GraphBuilder g;
      g.Fetch(Convolve(&g, c, g.Feed(known ? c.image : Dims{-1, 9, 8, 12})));
      EXPECT_EQ(Rewrite(g, ReplaceGroupedConvolutions).ops, (Ops{{"_SavedmodelGrouped", 1}}));
    }
  }
}

TEST(GroupedConvolution, ExplicitPadding) {
  for (const Dims& weights : {Dims{3, 2, 4, 6}, Dims{3, 2, 1, 12}}) {
    GraphBuilder g;
    const std::string x = g.Feed({2, 5, 6, 12});
    g.Fetch(g.Op("Conv2D", {x, g.Constant(weights)},
                 {{"strides", Dims{1, 1, 2, 1}},
                  {"padding", "EXPLICIT"},
                  {"explicit_paddings", Dims{0, 0, 1, 2, 0, 3, 0, 0}}}));
    const char* op = weights[2] == 1 ? "_SavedmodelDepthwise" : "_SavedmodelGrouped";
    EXPECT_EQ(Rewrite(g, ReplaceGroupedConvolutions).ops, (Ops{{op, 1}}));
  }
}

TEST(GroupedConvolution, BiasAndActivation) {
  for (const char* activation : {"", "Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid"}) {
    GraphBuilder g;
    const std::string x = g.Op("BiasAdd", {Convolve(&g, {}, g.Feed({2, 9, 8, 12})), g.Constant({18})});
    g.Fetch(*activation == '\0' ? x : g.Op(activation, {x}));
    EXPECT_EQ(Rewrite(g, ReplaceGroupedConvolutions).ops, (Ops{{"_SavedmodelGrouped", 1}})) << activation;
  }
}

TEST(GroupedConvolution, AGroupForEachChannel) {
  GraphBuilder g;
  Grouped each, three, dilated;
  each.weights = {3, 3, 1, 12};
  three.weights = {3, 3, 1, 36};
  dilated.weights = {3, 3, 1, 12};
  dilated.dilations = {1, 2, 2, 1};
  const std::string x = g.Feed({2, 9, 8, 12});
  g.Fetch(g.Op("Relu", {Convolve(&g, each, x)}));
  g.Fetch(Convolve(&g, three, x));
  g.Fetch(Convolve(&g, dilated, x));
  EXPECT_EQ(Rewrite(g, ReplaceGroupedConvolutions).ops,
            (Ops{{"_SavedmodelDepthwise", 1}, {"_SavedmodelGrouped", 2}}));
}

int FuseThenReplace(engine::Rewriter* rewriter) {
  FuseResidualAdds(rewriter);
  return ReplaceGroupedConvolutions(rewriter);
}

TEST(GroupedConvolution, AddendsOfFusedConvolutions) {
  GraphBuilder g;
  const std::string x = g.Feed({2, 9, 8, 12}), y = g.Op("Exp", {g.Feed({2, 9, 8, 18})});
  const std::string biased = g.Op("BiasAdd", {Convolve(&g, {}, x), g.Constant({18})});
  g.Fetch(g.Op("Relu", {g.Op("AddV2", {biased, y})}));
  const Ops fused{{"_SavedmodelGrouped", 1}, {"Exp", 1}};
  const Ops apart{{"_SavedmodelGrouped", 1}, {"Exp", 1}, {"AddV2", 1}, {"Relu", 1}};
  EXPECT_EQ(Rewrite(g, FuseThenReplace).ops, tf::IsMKLEnabled() ? fused : apart);
}

TEST(GroupedConvolution, LeavesOthersAlone) {
  GraphBuilder g;
  Grouped whole;
  whole.weights = {3, 3, 12, 18};
  const std::string x = g.Feed({2, 9, 8, 12});
  g.Fetch(Convolve(&g, whole, x));
  g.Fetch(g.Op("Conv2D", {x, g.Feed({3, 3, 4, 18})}, {{"strides", whole.strides}, {"padding", "SAME"}}));
  EXPECT_EQ(Rewrite(g, ReplaceGroupedConvolutions).count, 0);
}

}  // namespace
}  // namespace savedmodel::testing
