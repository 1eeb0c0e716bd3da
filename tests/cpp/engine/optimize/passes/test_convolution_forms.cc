// SPDX-License-Identifier: Apache-2.0
// Dilated convolutions and those over time: the ways in which TensorFlow's functions write them, near misses,
// and equal results.
#include "engine/optimize/passes/passes.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::testing {
namespace {

using engine::ReplaceConvolutionsOverTime;
using engine::SimplifyConvolutionsOverTime;
using engine::SimplifyDilations;
using Ops = std::map<std::string, int>;

struct Dilated {
  std::vector<std::int32_t> block{3}, out_block{3};
  std::vector<std::int32_t> pads{4, 1}, crops{0, 1};
  int stride = 1;
  const char* padding = "VALID";
};

// `x` is a sequence of 10 steps of 5 features.
std::string OverTime(GraphBuilder* g, const Dilated& d, const std::string& x) {
  const std::string batches = g->Op("SpaceToBatchND", {x, g->Ints(d.block, {1}), g->Ints(d.pads, {1, 2})},
                                    {{"Tblock_shape", tf::DT_INT32}, {"Tpaddings", tf::DT_INT32}});
  const std::string image = g->Op("ExpandDims", {batches, g->Ints({1}, {})}, {{"Tdim", tf::DT_INT32}});
  const std::string y = g->Op("Conv2D", {image, g->Constant({1, 2, 5, 6})},
                              {{"strides", Dims{1, 1, d.stride, 1}}, {"padding", d.padding}});
  return g->Op("BatchToSpaceND",
               {g->Op("Squeeze", {y}, {{"squeeze_dims", Dims{1}}}), g->Ints(d.out_block, {1}),
                g->Ints(d.crops, {1, 2})},
               {{"Tblock_shape", tf::DT_INT32}, {"Tcrops", tf::DT_INT32}});
}

TEST(Dilations, OverTime) {
  Dilated same, causal, valid;
  causal.pads = {3, 2};
  causal.crops = {0, 2};
  valid.pads = {0, 2};
  valid.crops = {0, 2};
  for (const Dilated& d : {same, causal, valid}) {
    for (const bool known : {true, false}) {
      GraphBuilder g;
      g.Fetch(OverTime(&g, d, g.Feed({known ? 2 : -1, 10, 5})));
      const Rewritten result = Rewrite(g, SimplifyDilations);
      EXPECT_EQ(result.count, 1);
      EXPECT_EQ(result.ops, (Ops{{"ExpandDims", 1}, {"Conv2D", 1}, {"Squeeze", 1}}));
    }
  }
}

TEST(Dilations, NearMisses) {
  Dilated front, strided, padded;
  front.pads = {5, 0};
  front.crops = {1, 0};
  strided.stride = 2;
  strided.crops = {0, 0};
  padded.padding = "SAME";
  for (const Dilated& d : {front, strided, padded}) {
    GraphBuilder g;
    g.Fetch(OverTime(&g, d, g.Feed({2, 10, 5})));
    EXPECT_EQ(Rewrite(g, SimplifyDilations).count, 0);
  }
  GraphBuilder g;  // the sequence in batches is read twice
  const std::string x = g.Feed({2, 10, 5});
  g.Fetch(OverTime(&g, {}, x));
  g.Fetch(g.Op("Neg", {"n4"}));
  EXPECT_EQ(g.graph().node(3).op(), "SpaceToBatchND");
  EXPECT_EQ(Rewrite(g, SimplifyDilations).count, 0);
}

TEST(Dilations, OfImages) {
  GraphBuilder g;
  const std::string batches =
      g.Op("SpaceToBatchND", {g.Feed({2, 7, 9, 3}), g.Ints({2, 3}, {2}), g.Ints({2, 3, 3, 3}, {2, 2})},
           {{"Tblock_shape", tf::DT_INT32}, {"Tpaddings", tf::DT_INT32}});
  const std::string y = g.Op("Conv2D", {batches, g.Constant({3, 3, 3, 4})},
                             {{"strides", Dims{1, 1, 1, 1}}, {"padding", "VALID"}});
  g.Fetch(g.Op("BatchToSpaceND", {y, g.Ints({2, 3}, {2}), g.Ints({0, 1, 0, 0}, {2, 2})},
               {{"Tblock_shape", tf::DT_INT32}, {"Tcrops", tf::DT_INT32}}));
  EXPECT_EQ(Rewrite(g, SimplifyDilations).ops, (Ops{{"Conv2D", 1}}));
}

// Pads, convolves, adds a bias and applies `activation` to a sequence.
std::string Layer(GraphBuilder* g, const char* activation, bool fetch_plain) {
  const std::string padded =
      g->Op("Pad", {g->Feed({2, 10, 5}), g->Ints({0, 0, 2, 1, 0, 0}, {3, 2})}, {{"Tpaddings", tf::DT_INT32}});
  const std::string image = g->Op("ExpandDims", {padded, g->Ints({-3}, {})}, {{"Tdim", tf::DT_INT32}});
  const std::string y = g->Op("Conv2D", {image, g->Constant({1, 3, 5, 6})},
                              {{"strides", Dims{1, 1, 2, 1}}, {"padding", "VALID"}});
  const std::string flat = g->Op("Squeeze", {y}, {{"squeeze_dims", Dims{-3}}});
  if (fetch_plain) g->Fetch(flat);
  const std::string sum = g->Op("BiasAdd", {flat, g->Constant({6})});
  return *activation == '\0' ? sum : g->Op(activation, {sum});
}

int OverTimeThenPads(engine::Rewriter* graph) {
  return SimplifyConvolutionsOverTime(graph) + engine::FoldPads(graph);
}

TEST(ConvolutionsOverTime, PadsBiasesAndActivationsMeetThem) {
  for (const char* activation : {"", "Relu", "Tanh"}) {
    GraphBuilder g;
    g.Fetch(Layer(&g, activation, false));
    Ops ops{{"ExpandDims", 1}, {"Conv2D", 1}, {"BiasAdd", 1}, {"Squeeze", 1}};
    if (*activation != '\0') ops[activation] = 1;
    EXPECT_EQ(Rewrite(g, OverTimeThenPads).ops, ops);
  }
  GraphBuilder g;  // another reader needs the Squeeze where it is
  g.Fetch(Layer(&g, "Relu", true));
  EXPECT_EQ(Rewrite(g, OverTimeThenPads).count, 2);
}

int OverTimeThenActivations(engine::Rewriter* graph) {
  OverTimeThenPads(graph);
  return ReplaceConvolutionsOverTime(graph);
}

TEST(ConvolutionsOverTime, ApplyWhatOneDnnDoesNot) {
  for (const char* activation : {"Tanh", "Sigmoid"}) {
    GraphBuilder g;
    g.Fetch(Layer(&g, activation, false));
    EXPECT_EQ(Rewrite(g, OverTimeThenActivations).ops,
              (Ops{{"ExpandDims", 1}, {"_SavedmodelGrouped", 1}, {"Squeeze", 1}}));
  }
  GraphBuilder g;
  g.Fetch(Layer(&g, "Relu", false));
  EXPECT_EQ(Rewrite(g, OverTimeThenActivations).count, 0);
}

}  // namespace
}  // namespace savedmodel::testing
