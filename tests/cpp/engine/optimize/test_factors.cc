// SPDX-License-Identifier: Apache-2.0
// Graphs that TensorFlow's constant folding must not see. These would be harmless, and it does not see them.
#include "engine/optimize/factors.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::testing {
namespace {

using engine::FoldingHazard;
using Step = std::pair<const char*, const char*>;  // an op, and the kind of its other input

std::string Hazard(const GraphBuilder& g) {
  const std::string found = FoldingHazard(g.graph());
  tf::ConfigProto config;
  const std::string said = engine::LeaveOutFolding(g.graph(), &config);
  const bool off = config.graph_options().rewrite_options().constant_folding() == tf::RewriterConfig::OFF;
  EXPECT_EQ(off, !said.empty());
  if (off) {
    EXPECT_EQ(said, found);
  }
  return found;
}

// A convolution with constant or fed weights, and ops behind it.
std::string Behind(const std::vector<Step>& steps, bool constant_weights = true) {
  GraphBuilder g;
  const Dims weights{1, 1, 4, 4};
  std::string x =
      g.Op("Conv2D", {g.Feed({1, 2, 2, 4}), constant_weights ? g.Constant(weights) : g.Feed(weights)},
           {{"strides", Dims{1, 1, 1, 1}}, {"padding", "SAME"}});
  for (const auto& [op, other] : steps) {
    const std::string kind = other;
    std::string y;
    if (kind == "channels") y = g.Constant({4});
    if (kind == "row") y = g.Constant({1, 1, 1, 4});
    if (kind == "one") y = g.Constant({1, 1, 1, 1});
    if (kind == "scalar") y = g.Constant(Dims{});
    if (kind == "fed") y = g.Feed({4});
    if (kind == "made") y = g.Op("Rsqrt", {g.Op("Abs", {g.Constant({4}, 1, 2)})});
    x = kind.empty() ? g.Op(op, {x}) : kind == "x" ? g.Op(op, {x, x}) : g.Op(op, {x, y});
  }
  g.Fetch(x);
  return Hazard(g);
}

TEST(Factors, SeveralBehindAConvolution) {
  EXPECT_NE(Behind({{"Mul", "channels"}, {"Mul", "channels"}}), "");
  EXPECT_NE(Behind({{"Mul", "scalar"}, {"Mul", "made"}}), "");
  EXPECT_NE(Behind({{"Mul", "row"}, {"AddV2", "channels"}, {"Mul", "channels"}}), "");
  EXPECT_NE(Behind({{"Identity", ""}, {"Mul", "row"}, {"StopGradient", ""}, {"Mul", "one"}}), "");
}

TEST(Factors, OneOrNoneThatIsConstant) {
  EXPECT_EQ(Behind({}), "");
  EXPECT_EQ(Behind({{"Mul", "channels"}}), "");
  EXPECT_EQ(Behind({{"Mul", "channels"}, {"AddV2", "channels"}}), "");
  EXPECT_EQ(Behind({{"Mul", "fed"}, {"Mul", "channels"}}), "");
  EXPECT_EQ(Behind({{"Mul", "x"}, {"Mul", "channels"}}), "");
  EXPECT_EQ(Behind({{"Mul", "channels"}, {"Relu", ""}, {"Mul", "channels"}}), "");
  EXPECT_EQ(Behind({{"Mul", "channels"}, {"Mul", "channels"}}, false), "");
}

TEST(Factors, InFunctions) {
  const auto function = [](const char* name, const char* op, const Dims& constant,
                           const std::vector<Attribute>& attributes) {
    tf::FunctionDef made;
    made.mutable_signature()->set_name(name);
    made.mutable_signature()->add_input_arg()->set_name("x");
    made.mutable_signature()->add_output_arg()->set_name("y");
    GraphBuilder g;
    const std::string c = g.Constant(constant), y = g.Op(op, {"x", c}, attributes);
    for (tf::NodeDef node : g.graph().node()) {
      if (node.name() == y) node.set_input(1, c + ":output:0");
      *made.add_node_def() = node;
    }
    (*made.mutable_ret())["y"] = y + ":z:0";
    return made;
  };
  for (const int factors : {1, 2}) {
    GraphBuilder g;
    std::string x = g.Op("Convolve", {g.Feed({1, 2, 2, 4})});
    for (int i = 0; i < factors; ++i) x = g.Op("Scale", {x});
    g.Fetch(x);
    tf::GraphDef graph = g.graph();
    *graph.mutable_library()->add_function() =
        function("Convolve", "Conv2D", {1, 1, 4, 4}, {{"strides", Dims{1, 1, 1, 1}}, {"padding", "SAME"}});
    *graph.mutable_library()->add_function() = function("Scale", "Mul", {4}, {});
    EXPECT_EQ(FoldingHazard(graph).empty(), factors == 1) << factors;
  }
}

TEST(Factors, ConstantsThatAreBroadcastBehindABias) {
  EXPECT_NE(Behind({{"BiasAdd", "channels"}, {"Sub", "one"}}), "");
  EXPECT_NE(Behind({{"BiasAdd", "channels"}, {"Identity", ""}, {"Sub", "scalar"}, {"AddV2", "one"}}), "");
  EXPECT_EQ(Behind({{"BiasAdd", "channels"}, {"AddV2", "scalar"}}), "");
  EXPECT_EQ(Behind({{"BiasAdd", "channels"}, {"AddV2", "row"}, {"Sub", "channels"}}), "");
  EXPECT_EQ(Behind({{"BiasAdd", "channels"}, {"Relu", ""}, {"Sub", "one"}}), "");
  EXPECT_EQ(Behind({{"BiasAdd", "channels"}, {"AddV2", "fed"}}), "");
}

}  // namespace
}  // namespace savedmodel::testing
