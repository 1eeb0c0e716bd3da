// SPDX-License-Identifier: Apache-2.0
// FuseBottlenecks: patterns that it replaces, near misses, and equal results.
#include "engine/optimize/passes/passes.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::testing {
namespace {

using Ops = std::map<std::string, int>;

const Dims kOnes{1, 1, 1, 1};

int Fuse(engine::Rewriter* rewriter) {
  FuseResidualAdds(rewriter);
  ReplacePointwiseConvolutions(rewriter);
  ReplaceDepthwiseConvolutions(rewriter);
  std::unordered_set<std::string> fetches;
  for (const tf::NodeDef* node : rewriter->nodes()) {
    if (node->op() == "Identity") fetches.insert(node->name());
  }
  rewriter->RemoveUnread(fetches);  // as the optimizer does after each pass
  return FuseBottlenecks(rewriter);
}

std::string Activated(GraphBuilder* g, const std::string& x, std::int64_t channels,
                      const std::string& activation) {
  const std::string biased = g->Op("BiasAdd", {x, g->Constant({channels})});
  return activation.empty() ? biased : g->Op(activation, {biased});
}
std::string Pointwise(GraphBuilder* g, const std::string& x, std::int64_t from, std::int64_t to,
                      const std::string& activation = "", const Dims& strides = kOnes) {
  return Activated(
      g, g->Op("Conv2D", {x, g->Constant({1, 1, from, to})}, {{"strides", strides}, {"padding", "SAME"}}), to,
      activation);
}
std::string Depthwise(GraphBuilder* g, const std::string& x, std::int64_t channels,
                      const std::string& activation = "Relu6", std::int64_t window = 3,
                      std::int64_t stride = 1, const char* padding = "SAME") {
  return Activated(g,
                   g->Op("DepthwiseConv2dNative", {x, g->Constant({window, window, channels, 1})},
                         {{"strides", Dims{1, stride, stride, 1}}, {"padding", padding}}),
                   channels, activation);
}

// The last two are large enough for several threads: one is split by rows, the other runs layer by layer.
TEST(Bottleneck, OfEveryShape) {
  for (const Dims& image : {Dims{-1, 9, 7, 5}, Dims{2, 6, 6, 16}, Dims{2, 48, 40, 16}, Dims{1, 9, 9, 96}}) {
    for (const std::int64_t window : {2, 3, 5}) {
      for (const std::int64_t stride : {1, 2}) {
        for (const char* padding : {"SAME", "VALID"}) {
          GraphBuilder g;
          std::string x = Pointwise(&g, g.Feed(image), image[3], 6 * image[3], "Relu6");
          x = Depthwise(&g, x, 6 * image[3], "Relu6", window, stride, padding);
          g.Fetch(Pointwise(&g, x, 6 * image[3], 10));
          const Rewritten r = Rewrite(g, Fuse);
          EXPECT_EQ(r.count, 1);
          EXPECT_EQ(r.ops, (Ops{{"_SavedmodelBottleneck", 1}}));
        }
      }
    }
  }
}

TEST(Bottleneck, ActivationsOfEachLayer) {
  const char* const activations[] = {"", "Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid"};
  for (int i = 0; i < 7; ++i) {
    GraphBuilder g;
    std::string x = Pointwise(&g, g.Feed({-1, 6, 6, 4}), 4, 20, activations[i]);
    x = Depthwise(&g, x, 20, activations[(i + 2) % 7]);
    g.Fetch(Pointwise(&g, x, 20, 8, activations[(i + 4) % 7]));
    EXPECT_EQ(Rewrite(g, Fuse).ops, (Ops{{"_SavedmodelBottleneck", 1}}));
  }
}

TEST(Bottleneck, WithoutOneOfTheLayers) {
  {
    GraphBuilder g;
    g.Fetch(Depthwise(&g, Pointwise(&g, g.Feed({-1, 40, 40, 4}), 4, 24, "Relu"), 24));
    EXPECT_EQ(Rewrite(g, Fuse).ops, (Ops{{"_SavedmodelBottleneck", 1}}));
  }
  {
    GraphBuilder g;
    g.Fetch(Pointwise(&g, Depthwise(&g, g.Feed({-1, 40, 40, 24}), 24), 24, 8));
    EXPECT_EQ(Rewrite(g, Fuse).ops, (Ops{{"_SavedmodelBottleneck", 1}}));
  }
  GraphBuilder g;
  g.Fetch(Depthwise(&g, g.Feed({-1, 6, 6, 24}), 24));
  EXPECT_EQ(Rewrite(g, Fuse).count, 0);
}

// The first adds its own input, which it must not overwrite; the second adds a value without other readers.
TEST(Bottleneck, Addends) {
  for (const std::int64_t size : {6, 64}) {
    GraphBuilder g;
    std::string x = g.Op("Exp", {g.Feed({-1, size, size, 8})});
    for (int i = 0; i < 2; ++i) {
      const std::string y = Depthwise(&g, Pointwise(&g, x, 8, 48, "Relu6"), 48);
      x = g.Op("AddV2", {i == 0 ? x : g.Op("Tanh", {x}), Pointwise(&g, y, 48, 8)});
    }
    g.Fetch(x);
    const Rewritten r = Rewrite(g, Fuse);
    EXPECT_EQ(r.count, 2);
    EXPECT_EQ(r.ops, (Ops{{"Exp", 1}, {"Tanh", 1}, {"_SavedmodelBottleneck", 2}}));
  }
}

TEST(Bottleneck, OfAChainEachTakesWhatIsBehindIt) {
  GraphBuilder g;
  std::string x = g.Feed({-1, 12, 12, 8});
  for (int i = 0; i < 3; ++i) x = Pointwise(&g, Depthwise(&g, x, 8), 8, 8, "Relu");
  g.Fetch(x);
  EXPECT_EQ(Rewrite(g, Fuse).ops, (Ops{{"_SavedmodelBottleneck", 3}}));
}

TEST(Bottleneck, ExplicitPaddings) {
  GraphBuilder g;
  std::string x = Pointwise(&g, g.Feed({2, 8, 9, 5}), 5, 20);
  x = g.Op("DepthwiseConv2dNative", {x, g.Constant({3, 3, 20, 1})},
           {{"strides", Dims{1, 2, 2, 1}},
            {"padding", "EXPLICIT"},
            {"explicit_paddings", Dims{0, 0, 2, 1, 0, 3, 0, 0}}});
  g.Fetch(Pointwise(&g, x, 20, 8));
  EXPECT_EQ(Rewrite(g, Fuse).ops, (Ops{{"_SavedmodelBottleneck", 1}}));
}

TEST(Bottleneck, LeavesAloneWhatOthersReadOrWhatHasStrides) {
  const auto ops = [](bool reads_expanded, bool reads_middle, const Dims& expand, const Dims& project) {
    GraphBuilder g;
    const std::string expanded = Pointwise(&g, g.Feed({2, 8, 8, 4}), 4, 20, "Relu", expand);
    const std::string middle = Depthwise(&g, expanded, 20);
    g.Fetch(Pointwise(&g, middle, 20, 8, "", project));
    if (reads_expanded) g.Fetch(expanded);
    if (reads_middle) g.Fetch(middle);
    return Rewrite(g, Fuse).ops;
  };
  const Ops half{{"_SavedmodelBottleneck", 1}, {"_SavedmodelDense", 1}};
  const Ops none{{"_SavedmodelDense", 2}, {"_SavedmodelDepthwise", 1}};
  const Dims strided{1, 2, 2, 1};
  EXPECT_EQ(ops(false, false, kOnes, kOnes), (Ops{{"_SavedmodelBottleneck", 1}}));
  EXPECT_EQ(ops(true, false, kOnes, kOnes), half);
  EXPECT_EQ(ops(false, true, kOnes, kOnes), half);
  EXPECT_EQ(ops(true, true, kOnes, kOnes), none);
  EXPECT_EQ(ops(false, false, strided, kOnes), half);
  EXPECT_EQ(ops(false, false, kOnes, strided), half);
  EXPECT_EQ(ops(false, false, strided, strided), none);
}

TEST(Bottleneck, LeavesAnExpansionWithAAddendAlone) {
  GraphBuilder g;
  const std::string x = g.Feed({2, 8, 8, 20});
  const std::string sum = g.Op("AddV2", {g.Op("Exp", {x}), Pointwise(&g, x, 20, 20)});
  g.Fetch(Pointwise(&g, Depthwise(&g, sum, 20), 20, 8));
  EXPECT_EQ(Rewrite(g, Fuse).ops, (Ops{{"Exp", 1}, {"_SavedmodelBottleneck", 1}, {"_SavedmodelDense", 1}}));
}

}  // namespace
}  // namespace savedmodel::testing
