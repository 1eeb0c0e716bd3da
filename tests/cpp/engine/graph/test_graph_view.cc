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

TEST(FunctionIndex, CopiesWhatIsCalledAndNoMore) {
  tf::FunctionDefLibrary library;
  for (const char* name : {"outer", "inner", "gradient", "other"}) {
    library.add_function()->mutable_signature()->set_name(name);
  }
  *library.mutable_function(0)->add_node_def() = Node("call", "inner");
  library.add_gradient()->set_function_name("inner");
  library.mutable_gradient(0)->set_gradient_func("gradient");
  const FunctionIndex index(library);
  EXPECT_EQ(index.Find("inner"), &library.function(1));
  EXPECT_EQ(index.Find("none"), nullptr);
  tf::GraphDef graph;
  tf::NodeDef call = Node("call", "PartitionedCall");
  (*call.mutable_attr())["f"].mutable_func()->set_name("outer");
  EXPECT_EQ(CalledFunctions(call), std::vector<std::string>{"outer"});
  *graph.add_node() = call;
  CopyNeededFunctions(library, &graph);
  std::vector<std::string> names;
  for (const tf::FunctionDef& function : graph.library().function()) {
    names.push_back(function.signature().name());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"outer", "inner", "gradient"}));
  EXPECT_EQ(graph.library().gradient_size(), 1);
}

}  // namespace
}  // namespace savedmodel::engine
