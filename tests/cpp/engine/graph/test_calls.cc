// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/graph/calls.h"
#include "tests/cpp/nodes.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Node;
using Names = std::vector<std::string>;

// A node that names one function in each of these attributes.
tf::NodeDef Calling(const char* op, std::initializer_list<std::pair<const char*, const char*>> functions) {
  tf::NodeDef node = Node("n", op);
  for (const auto& [attribute, function] : functions) {
    (*node.mutable_attr())[attribute].mutable_func()->set_name(function);
  }
  return node;
}

TEST(Calls, RunTheirCalleesWithTheirInputs) {
  const tf::NodeDef call = Calling("StatefulPartitionedCall", {{"f", "g"}, {"other", "h"}});
  EXPECT_TRUE(IsCall(call) && !IsLoop(call) && !IsBranch(call));
  EXPECT_EQ(Callees(call), Names{"g"});
  EXPECT_EQ(FirstArgument(call), 0);
  const tf::NodeDef loop = Calling("StatelessWhile", {{"body", "b"}, {"cond", "c"}});
  EXPECT_TRUE(IsLoop(loop));
  EXPECT_EQ(Callees(loop), (Names{"c", "b"}));
  EXPECT_EQ(FirstArgument(loop), 0);
  const tf::NodeDef branch = Calling("If", {{"else_branch", "e"}, {"then_branch", "t"}});
  EXPECT_TRUE(IsBranch(branch));
  EXPECT_EQ(Callees(branch), (Names{"t", "e"}));
  EXPECT_EQ(FirstArgument(branch), 1);
  const tf::NodeDef other = Calling("MapDefun", {{"f", "g"}});
  EXPECT_TRUE(Callees(other).empty());
  EXPECT_EQ(CalledFunctions(other), Names{"g"});
}

TEST(Calls, OfACaseAreAList) {
  tf::NodeDef node = Node("n", "StatelessCase");
  for (const char* name : {"a", "b"}) {
    (*node.mutable_attr())["branches"].mutable_list()->add_func()->set_name(name);
  }
  EXPECT_TRUE(IsBranch(node));
  EXPECT_EQ(Callees(node), (Names{"a", "b"}));
  ForEachCallee(&node, [](tf::NameAttrList* function) { function->set_name(function->name() + "2"); });
  EXPECT_EQ(Callees(node), (Names{"a2", "b2"}));
  node.set_op("If");
  EXPECT_EQ(Callees(node), (Names{"", ""})) << "the op says which attributes count";
  EXPECT_EQ(Callees(Node("n", "Case")), Names{""}) << "a damaged one names no function";
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
