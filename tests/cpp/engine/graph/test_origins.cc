// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/graph/origins.h"
#include "tests/cpp/nodes.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Node;

tf::GraphDef Graph(const std::vector<tf::NodeDef>& nodes) {
  tf::GraphDef graph;
  for (const tf::NodeDef& node : nodes) *graph.add_node() = node;
  return graph;
}

// "op name, op name" of a node's origins; "-" if it has none.
std::string Of(const Origins& origins, const std::string& node) {
  const auto found = origins.find(node);
  if (found == origins.end()) return "-";
  std::string text;
  for (const TraceNode& origin : found->second)
    text += (text.empty() ? "" : ", ") + origin.op + " " + origin.node;
  return text;
}

// Readers may come before what they read.
const tf::GraphDef kDense =
    Graph({Node("relu", "Relu", {"sum"}), Node("sum", "BiasAdd", {"product", "b"}),
           Node("product", "MatMul", {"x", "read:0"}), Node("x", "Placeholder"), Node("w", "VarHandleOp"),
           Node("read", "ReadVariableOp", {"w", "^x"}), Node("b", "Const"),
           Node("copy", "Identity", {"relu"}), Node("result", "Softmax", {"copy"})});

TEST(Origins, OfAFusedNodeAreInTheOrderOfTheData) {
  const Origins origins = FindOrigins(kDense, {{"relu", "Fused"}, {"result", "Softmax"}});
  EXPECT_EQ(Of(origins, "relu"), "MatMul product, BiasAdd sum, Relu relu");
  EXPECT_EQ(Of(origins, "result"), "-");
}

TEST(Origins, OfReplacedNodesEndAtWhatIsStillThere) {
  const Origins origins =
      FindOrigins(kDense, {{"product", "MatMul"}, {"relu", "Fused"}, {"result", "Other"}, {"new", "Packed"}});
  EXPECT_EQ(Of(origins, "product"), "-");
  EXPECT_EQ(Of(origins, "relu"), "BiasAdd sum, Relu relu");
  EXPECT_EQ(Of(origins, "result"), "Softmax result");
  EXPECT_EQ(Of(origins, "new"), "-");
}

TEST(Origins, OfANodeThatTookOverALaterValue) {
  tf::GraphDef optimized = Graph({Node("product", "Fused", {"x"}), Node("result", "Softmax", {"product"})});
  (*optimized.mutable_node(0)->mutable_attr())["_savedmodel_replaces"].set_s("relu");
  const Replaced replaced = FindReplaced(optimized);
  EXPECT_EQ(replaced, (Replaced{{"product", "relu"}}));
  const Origins origins = FindOrigins(kDense, {{"product", "Fused"}, {"result", "Softmax"}}, replaced);
  EXPECT_EQ(Of(origins, "product"), "MatMul product, BiasAdd sum, Relu relu");
  EXPECT_EQ(Of(origins, "result"), "-");
}

TEST(Origins, AJoinIsCountedOnce) {
  const tf::GraphDef graph =
      Graph({Node("x", "Placeholder"), Node("square", "Square", {"x"}), Node("a", "Neg", {"square"}),
             Node("b", "Exp", {"square"}), Node("y", "Add", {"a", "b"})});
  EXPECT_EQ(Of(FindOrigins(graph, {{"y", "Fused"}}), "y"), "Square square, Neg a, Exp b, Add y");
  EXPECT_TRUE(FindOrigins(graph, {}).empty());
  EXPECT_TRUE(FindOrigins({}, {{"y", "Fused"}}).empty());
}

}  // namespace
}  // namespace savedmodel::engine
