// SPDX-License-Identifier: Apache-2.0
// Keys of graphs: equal for graphs that differ in names only.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/graph/canonical.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::GraphBuilder;

struct Built {
  tf::GraphDef graph;
  std::vector<std::string> feeds, fetches;
  std::string Key() const { return CanonicalKey(graph, feeds, fetches); }
};

// relu(x * w) + x; `skipped` nodes without readers come first, so that all names differ.
Built Layer(int skipped, float weight = 0.5F, const std::string& activation = "Relu", bool swapped = false) {
  GraphBuilder b;
  for (int i = 0; i < skipped; ++i) b.Constant({1});
  const std::string w = b.Value(tf::Tensor(weight));
  const std::string x = b.Feed({-1, 3}), y = b.Feed({-1, 3});
  const std::string active = b.Op(activation, {b.Op("Mul", {swapped ? y : x, w})});
  const std::string sum = b.Op("AddV2", {active, swapped ? x : y});
  return {b.graph(), {x + ":0", y + ":0"}, {sum + ":0", active + ":0"}};
}

TEST(CanonicalKey, IgnoresNamesAndWhatIsNotReached) {
  EXPECT_FALSE(Layer(0).Key().empty());
  EXPECT_EQ(Layer(0).Key(), Layer(7).Key());
}

TEST(CanonicalKey, SeesValuesOpsAndTheOrderOfInputsAndOutputs) {
  const std::string key = Layer(0).Key();
  EXPECT_NE(key, Layer(0, 0.25F).Key());
  EXPECT_NE(key, Layer(0, 0.5F, "Tanh").Key());
  EXPECT_NE(key, Layer(0, 0.5F, "Relu", true).Key());
  Built other = Layer(0);
  std::swap(other.fetches[0], other.fetches[1]);
  EXPECT_NE(key, other.Key());
  other = Layer(0);
  other.fetches.pop_back();
  EXPECT_NE(key, other.Key());
}

TEST(CanonicalKey, SeesLargeConstants) {
  const auto key = [](float first) {
    GraphBuilder b;
    tf::Tensor weights = testing::Numbers({64, 64}, 3);
    weights.flat<float>()(0) = first;
    const std::string x = b.Feed({-1, 64});
    const std::string product = b.Op("MatMul", {x, b.Value(weights)});
    return Built{b.graph(), {x + ":0"}, {product + ":0"}}.Key();
  };
  EXPECT_EQ(key(1), key(1));
  EXPECT_NE(key(1), key(2));
}

// One node read twice is not two nodes.
TEST(CanonicalKey, SeesWhatIsSharedInside) {
  const auto key = [](bool twice) {
    GraphBuilder b;
    const std::string x = b.Feed({-1, 3});
    const std::string first = b.Op("Exp", {x}), second = twice ? b.Op("Exp", {x}) : first;
    const std::string sum = b.Op("AddV2", {first, second});
    return Built{b.graph(), {x + ":0"}, {sum + ":0"}}.Key();
  };
  EXPECT_NE(key(true), key(false));
}

TEST(CanonicalKey, IsEmptyWhereCopiesHaveStateOfTheirOwn) {
  GraphBuilder b;
  const std::string x = b.Feed({3});
  const std::string random =
      b.Op("RandomUniform", {b.Ints({3}, {1})}, {{"dtype", tf::DT_FLOAT}, {"T", tf::DT_INT32}}, false);
  const std::string sum = b.Op("AddV2", {x, random});
  EXPECT_EQ((Built{b.graph(), {x + ":0"}, {sum + ":0"}}.Key()), "");
  GraphBuilder unknown;
  const std::string y = unknown.Op("NoSuchOp", {unknown.Feed({3})});
  EXPECT_EQ((Built{unknown.graph(), {"n1:0"}, {y + ":0"}}.Key()), "");
}

// A variable without a shared name has its node's name.
TEST(CanonicalKey, KeepsVariablesApart) {
  const auto key = [](int skipped, const char* shared_name) {
    GraphBuilder b;
    for (int i = 0; i < skipped; ++i) b.Constant({1});
    const std::string handle = b.Op("VarHandleOp", {},
                                    {{"dtype", tf::DT_FLOAT},
                                     {"shape", tf::TensorShape({3})},
                                     {"shared_name", shared_name},
                                     {"container", ""}},
                                    false);
    const std::string read = b.Op("ReadVariableOp", {handle}, {{"dtype", tf::DT_FLOAT}}, false);
    return Built{b.graph(), {}, {read + ":0"}}.Key();
  };
  EXPECT_FALSE(key(0, "").empty());
  EXPECT_NE(key(0, ""), key(1, ""));
  EXPECT_NE(key(0, "a"), key(0, "b"));
}

// y = f(x) where f's body is `op`.
Built Calls(const std::string& function, const std::string& op) {
  GraphBuilder b;
  const std::string x = b.Feed({3});
  tf::AttrValue name, types;
  name.mutable_func()->set_name(function);
  types.mutable_list()->add_type(tf::DT_FLOAT);
  const std::string call =
      b.Op("PartitionedCall", {x}, {{"f", name}, {"Tin", types}, {"Tout", types}}, false);
  Built built{b.graph(), {x + ":0"}, {call + ":0"}};
  tf::FunctionDef* def = built.graph.mutable_library()->add_function();
  def->mutable_signature()->set_name(function);
  auto* in = def->mutable_signature()->add_input_arg();
  in->set_name("in_" + function);
  in->set_type(tf::DT_FLOAT);
  auto* out = def->mutable_signature()->add_output_arg();
  out->set_name("out");
  out->set_type(tf::DT_FLOAT);
  tf::NodeDef* node = def->add_node_def();
  node->set_name("node_" + function);
  node->set_op(op);
  node->add_input("in_" + function);
  (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
  (*def->mutable_ret())["out"] = "node_" + function + ":y:0";
  return built;
}

TEST(CanonicalKey, ReadsFunctionsByTheirBodies) {
  EXPECT_FALSE(Calls("f", "Exp").Key().empty());
  EXPECT_EQ(Calls("f", "Exp").Key(), Calls("another", "Exp").Key());
  EXPECT_NE(Calls("f", "Exp").Key(), Calls("f", "Neg").Key());
  Built missing = Calls("f", "Exp");
  missing.graph.mutable_library()->clear_function();
  EXPECT_EQ(missing.Key(), "");
}

}  // namespace
}  // namespace savedmodel::engine
