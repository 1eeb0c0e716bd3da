// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/graph/graph_view.h"
#include "savedmodel/error.h"
#include "tests/cpp/nodes.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Node;

TEST(TensorRef, ReadsInputsOfGraphsAndOfFunctions) {
  const auto read = [](const char* text) {
    const TensorRef ref{std::string(text)};
    return ref.node + "|" + std::to_string(ref.index);
  };
  EXPECT_EQ(read("a"), "a|0");
  EXPECT_EQ(read("a/b:3"), "a/b|3");
  EXPECT_EQ(read("a:output:12"), "a|12");
  EXPECT_EQ(read("^a"), "a|-1");
  EXPECT_EQ(read("a:output"), "a|0");
  EXPECT_TRUE(TensorRef(std::string("^a")).is_control());
  EXPECT_EQ(TensorRef(std::string("a")).ToString(), "a:0");
}

TEST(TensorRef, ParseRefusesWhatIsNoTensor) {
  EXPECT_EQ(TensorRef::Parse("a:1").index, 1);
  EXPECT_EQ(TensorRef::Parse("a").ToString(), "a:0");
  for (const char* text : {"", ":0", "a:", "a:b", "a:-1", "^a", "a:12345678"}) {
    EXPECT_THROW(TensorRef::Parse(text), UsageError) << text;
  }
}

TEST(Inputs, DataComesBeforeControl) {
  const tf::NodeDef node = Node("n", "Add", {"a", "b:1", "^c"});
  EXPECT_EQ(CountDataInputs(node), 2);
  EXPECT_TRUE(HasControlInputs(node));
  EXPECT_FALSE(HasControlInputs(Node("n", "Neg", {"a"})));
  EXPECT_EQ(NodeOf("^c"), "c");
  EXPECT_EQ(NodeOf("b:out:1"), "b");
  EXPECT_FALSE(IsControl(""));
}

TEST(GraphView, FindsNodesAndTheirReaders) {
  tf::GraphDef graph;
  *graph.add_node() = Node("a", "Const");
  *graph.add_node() = Node("b", "Neg", {"a"});
  *graph.add_node() = Node("c", "Add", {"b", "a:0", "^a"});
  const GraphView view(graph);
  EXPECT_EQ(view.Find("b")->op(), "Neg");
  EXPECT_EQ(view.Find("d"), nullptr);
  EXPECT_EQ(view.Source("^c")->name(), "c");
  std::vector<std::string> readers;
  for (const GraphView::Reader& reader : view.Readers("a")) {
    readers.push_back(reader.node->name() + ":" + std::to_string(reader.input));
  }
  EXPECT_EQ(readers, (std::vector<std::string>{"b:0", "c:1"})) << "control edges are no reads";
  EXPECT_TRUE(view.Readers("c").empty());
  EXPECT_EQ(view.Argument("a"), -1);
}

TEST(GraphView, OfAFunctionKnowsItsArguments) {
  tf::FunctionDef function;
  for (const char* name : {"x", "y"}) function.mutable_signature()->add_input_arg()->set_name(name);
  *function.add_node_def() = Node("n", "Add", {"y", "x"});
  const GraphView view(function);
  EXPECT_EQ(view.Argument("y"), 1);
  EXPECT_EQ(view.Find("y"), nullptr);
  ASSERT_EQ(view.Readers("x").size(), 1U);
  EXPECT_EQ(view.Readers("x")[0].input, 1);
}

TEST(GraphView, WalksToEachNodeOnce) {
  tf::GraphDef graph;
  *graph.add_node() = Node("a", "Const");
  *graph.add_node() = Node("b", "Neg", {"a"});
  *graph.add_node() = Node("c", "Add", {"b", "a:0", "^d", "missing"});
  *graph.add_node() = Node("d", "Neg", {"c"});  // a circle
  *graph.add_node() = Node("e", "Neg", {"c"});
  const GraphView view(graph);
  std::vector<std::string> names;
  const auto visit = [&](const tf::NodeDef& node) { names.push_back(node.name()); };
  view.Walk({"c:0", "none"}, visit);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c", "d"}));
  names.clear();
  view.Walk({"c"}, visit, [](const tf::NodeDef& reader, const std::string& input) {
    return reader.name() == "c" && input != "b";
  });
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"a", "c", "d"}));
}

}  // namespace
}  // namespace savedmodel::engine
