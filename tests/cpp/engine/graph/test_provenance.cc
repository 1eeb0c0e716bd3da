// SPDX-License-Identifier: Apache-2.0
// Whether a tensor can only hold what the loader feeds: on parts of graphs that are never run.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "engine/graph/provenance.h"
#include "tests/cpp/nodes.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Calls;
using testing::Node;

tf::NodeDef Shared(tf::NodeDef node, const std::string& name, const std::string& container = "") {
  (*node.mutable_attr())["shared_name"].set_s(name);
  (*node.mutable_attr())["container"].set_s(container);
  return node;
}

// A graph of these nodes; the loader feeds "file".
class ProvenanceTest : public ::testing::Test {
 protected:
  ProvenanceTest() { Add(Node("file", "Placeholder")); }

  void Add(const tf::NodeDef& node) { *graph_.add_node() = node; }
  tf::FunctionDef* AddFunction(const std::string& name, std::initializer_list<const char*> arguments = {}) {
    tf::FunctionDef* function = graph_.mutable_library()->add_function();
    function->mutable_signature()->set_name(name);
    for (const char* argument : arguments) {
      function->mutable_signature()->add_input_arg()->set_name(argument);
    }
    return function;
  }
  void AddGradient(const std::string& function, const std::string& gradient) {
    tf::GradientDef* entry = graph_.mutable_library()->add_gradient();
    entry->set_function_name(function);
    entry->set_gradient_func(gradient);
  }
  bool InGraph(const std::string& tensor, const std::set<std::string>& sources = {"file"}) const {
    const Scopes scopes(graph_);
    return Provenance(scopes, sources).OnlyFromSources(scopes.graph(), tensor);
  }
  bool InFunction(const std::string& function, const std::string& tensor,
                  const std::set<std::string>& sources = {"file"}) const {
    const Scopes scopes(graph_);
    return Provenance(scopes, sources).OnlyFromSources(scopes.functions().at(function), tensor);
  }
  // The names of the functions that a node calls, sorted.
  std::vector<std::string> Called(const tf::NodeDef& node) const {
    const Scopes scopes(graph_);
    std::vector<std::string> names;
    for (const Scope* scope : scopes.CalledBy(node)) names.push_back(scope->function->signature().name());
    std::sort(names.begin(), names.end());
    return names;
  }
  tf::GraphDef graph_;
};

TEST(NodeOfInput, DropsOutputAndControl) {
  for (const char* input : {"a", "a:0", "a:1", "^a", "a:output:0"}) EXPECT_EQ(NodeOf(input), "a") << input;
  EXPECT_EQ(NodeOf("scope/a:2"), "scope/a");
  EXPECT_EQ(NodeOf(""), "");
  EXPECT_EQ(NodeOf("^"), "");
}

TEST_F(ProvenanceTest, Sources) {
  Add(Node("other", "Placeholder"));
  EXPECT_TRUE(InGraph("file"));
  EXPECT_TRUE(InGraph("file:0"));
  EXPECT_TRUE(InGraph("file", {"file:0"}));
  EXPECT_TRUE(InGraph("fed", {"fed"}));  // a fed name need not be a node
  EXPECT_FALSE(InGraph("file:1"));
  EXPECT_FALSE(InGraph("other"));
  EXPECT_FALSE(InGraph("lost"));
  EXPECT_FALSE(InGraph("^file"));
  EXPECT_FALSE(InGraph(""));
  EXPECT_FALSE(InGraph("file", {}));
  EXPECT_FALSE(InGraph("", {""}));
  EXPECT_FALSE(InGraph(":0", {""}));
}

TEST_F(ProvenanceTest, OnlyIdentitiesPassOn) {
  Add(Node("a", "Identity", {"file:0"}));
  Add(Node("b", "Identity", {"a"}));
  Add(Node("of_another", "Identity", {"lost"}));
  Add(Node("of_none", "Identity"));
  Add(Node("joined", "StringJoin", {"file"}));
  Add(Node("after", "Identity", {"^file"}));
  EXPECT_TRUE(InGraph("a"));
  EXPECT_TRUE(InGraph("b"));
  for (const char* tensor : {"of_another", "of_none", "joined", "after", "^a"}) EXPECT_FALSE(InGraph(tensor));
}

TEST_F(ProvenanceTest, CirclesEnd) {
  Add(Node("a", "Identity", {"b"}));
  Add(Node("b", "Identity", {"a"}));
  EXPECT_FALSE(InGraph("a"));
  EXPECT_FALSE(InGraph("b"));
}

TEST_F(ProvenanceTest, ANameMeansItsFirstNode) {
  Add(Node("twice", "Identity", {"file"}));
  Add(Node("twice", "Const"));
  EXPECT_TRUE(InGraph("twice"));
}

TEST_F(ProvenanceTest, SourcesAreOfTheGraph) {
  *AddFunction("f")->add_node_def() = Node("file", "Placeholder");
  EXPECT_FALSE(InFunction("f", "file"));
  EXPECT_FALSE(InFunction("f", "lost"));
}

TEST_F(ProvenanceTest, ArgumentsOfEveryCall) {
  tf::FunctionDef* f = AddFunction("f", {"a", "b"});
  *f->add_node_def() = Node("inner", "Identity", {"b"});
  Add(Node("other", "Placeholder"));
  Add(Calls(Node("call", "PartitionedCall", {"other", "file"}), {"f"}));
  EXPECT_TRUE(InFunction("f", "b"));
  EXPECT_TRUE(InFunction("f", "inner:output:0"));
  EXPECT_FALSE(InFunction("f", "a"));
  EXPECT_FALSE(InFunction("f", "c"));
  Add(Calls(Node("again", "PartitionedCall", {"file", "other"}), {"f"}));
  EXPECT_FALSE(InFunction("f", "b"));
  EXPECT_FALSE(InFunction("f", "inner:output:0"));
}

TEST_F(ProvenanceTest, ANodeHidesAnArgument) {
  tf::FunctionDef* f = AddFunction("f", {"a"});
  *f->add_node_def() = Node("a", "Const");
  Add(Calls(Node("call", "PartitionedCall", {"file"}), {"f"}));
  EXPECT_FALSE(InFunction("f", "a"));
}

TEST_F(ProvenanceTest, AFunctionWithoutCallersNeverRuns) {
  AddFunction("f", {"a"});
  EXPECT_TRUE(InFunction("f", "a"));
  EXPECT_FALSE(InFunction("f", "b"));
}

TEST_F(ProvenanceTest, ThroughNestedCalls) {
  AddFunction("inner", {"b"});
  *AddFunction("outer", {"a"})->add_node_def() =
      Calls(Node("call", "StatefulPartitionedCall", {"a"}), {"inner"});
  Add(Calls(Node("call", "PartitionedCall", {"file"}), {"outer"}));
  EXPECT_TRUE(InFunction("inner", "b"));
  EXPECT_FALSE(InFunction("inner", "b", {"other"}));
}

// The index of the call's input that becomes the argument.
TEST_F(ProvenanceTest, CallsOfEachKind) {
  Add(Node("other", "Placeholder"));
  const std::vector<std::string> both{"other", "file"}, file{"file", "other"};
  int calls = 0;
  const auto passes = [&](const std::string& op, const std::vector<std::string>& inputs) {
    const std::string f = "f" + std::to_string(calls++);
    AddFunction(f, {"a"});
    Add(Calls(Node("call of " + f, op, inputs), {f.c_str()}));
    return InFunction(f, "a");
  };
  for (const char* op : {"PartitionedCall", "StatefulPartitionedCall"}) {
    EXPECT_TRUE(passes(op, file)) << op;
    EXPECT_FALSE(passes(op, both)) << op;
    EXPECT_FALSE(passes(op, {})) << op;
  }
  for (const char* op : {"If", "StatelessIf", "Case", "StatelessCase"}) {
    EXPECT_TRUE(passes(op, both)) << op;
    EXPECT_FALSE(passes(op, file)) << op;
    EXPECT_FALSE(passes(op, {"other"})) << op;
  }
  for (const char* op : {"While", "StatelessWhile", "For", "MapDefun"}) {
    EXPECT_FALSE(passes(op, {"file", "file", "file"})) << op;
  }
  // Called like an op.
  AddFunction("g", {"a"});
  Add(Node("call of g", "g", file));
  EXPECT_TRUE(InFunction("g", "a"));
  EXPECT_FALSE(InFunction("g", "a", {"other"}));
}

TEST_F(ProvenanceTest, ListsShiftArguments) {
  tf::FunctionDef* f = AddFunction("f", {"a", "b"});
  Add(Calls(Node("call", "PartitionedCall", {"file", "file"}), {"f"}));
  EXPECT_TRUE(InFunction("f", "b"));
  f->mutable_signature()->mutable_input_arg(0)->set_number_attr("N");
  EXPECT_FALSE(InFunction("f", "b"));
  f->mutable_signature()->mutable_input_arg(0)->clear_number_attr();
  f->mutable_signature()->mutable_input_arg(0)->set_type_list_attr("T");
  EXPECT_FALSE(InFunction("f", "b"));
}

TEST_F(ProvenanceTest, FunctionsThatANodeCalls) {
  for (const char* name : {"f", "g", "gradient", "Identity"}) AddFunction(name);
  AddGradient("f", "gradient");
  using Names = std::vector<std::string>;
  EXPECT_EQ(Called(Node("n", "NoOp")), Names{});
  EXPECT_EQ(Called(Node("n", "g")), Names{"g"});
  EXPECT_EQ(Called(Node("n", "Identity")), Names{"Identity"});
  EXPECT_EQ(Called(Calls(Node("n", "PartitionedCall"), {"lost"})), Names{});
  EXPECT_EQ(Called(Calls(Node("n", "If"), {"g", "f"})), (Names{"f", "g", "gradient"}));
}

TEST_F(ProvenanceTest, GradientsThatLeadToEachOtherEnd) {
  AddFunction("f");
  AddFunction("g");
  AddGradient("f", "g");
  AddGradient("g", "f");
  EXPECT_LE(Called(Node("n", "f")).size(), 64U);
}

class VariablesTest : public ProvenanceTest {
 protected:
  VariablesTest() {
    Add(Shared(Node("v", "VarHandleOp"), "path"));
    Add(Node("read", "ReadVariableOp", {"v"}));
  }
  void Assign(const std::string& value, const std::string& handle = "v") {
    Add(Node("assign" + std::to_string(graph_.node_size()), "AssignVariableOp", {handle, value}));
  }
};

TEST_F(VariablesTest, HoldWhatIsAssigned) {
  EXPECT_FALSE(InGraph("read"));
  Assign("file");
  EXPECT_TRUE(InGraph("read"));
  EXPECT_FALSE(InGraph("v"));  // the handle is not a path
  Add(Node("is", "VarIsInitializedOp", {"v"}));
  Add(Node("other", "Placeholder", {"^v"}));
  EXPECT_TRUE(InGraph("read"));
  Assign("other");
  EXPECT_FALSE(InGraph("read"));
}

TEST_F(VariablesTest, AnythingElseMayWriteThem) {
  Assign("file");
  Add(Node("call", "PartitionedCall", {"v", "file"}));
  EXPECT_FALSE(InGraph("read"));
}

TEST_F(VariablesTest, AsAValueTheyAreGivenAway) {
  Assign("file");
  Add(Node("give", "AssignVariableOp", {"w", "file", "v"}));
  EXPECT_FALSE(InGraph("read"));
}

TEST_F(VariablesTest, AnAssignmentHasAValue) {
  Add(Node("assign", "AssignVariableOp", {"v"}));
  EXPECT_FALSE(InGraph("read"));
}

TEST_F(VariablesTest, HandlesOfOneVariable) {
  Assign("file");
  Add(Node("other", "Placeholder"));
  Add(Shared(Node("w", "VarHandleOp"), "path", "elsewhere"));  // another one
  Assign("other", "w");
  Add(Node("path", "VarHandleOp"));  // recognised by its name
  EXPECT_TRUE(InGraph("read"));
  Assign("other", "path");
  EXPECT_FALSE(InGraph("read"));
}

TEST_F(VariablesTest, ThatAFunctionReachesMayBeWrittenThere) {
  Assign("file");
  tf::FunctionDef* f = AddFunction("f");
  *f->add_node_def() = Shared(Node("handle", "VarHandleOp"), "another");
  EXPECT_TRUE(InGraph("read"));
  *f->add_node_def() = Shared(Node("same", "VarHandleOp"), "path");
  EXPECT_FALSE(InGraph("read"));
}

TEST_F(VariablesTest, ReadsInFunctionsAreNotFollowed) {
  Assign("file");
  *AddFunction("f")->add_node_def() = Node("read", "ReadVariableOp", {"v"});
  EXPECT_FALSE(InFunction("f", "read"));
}

TEST_F(VariablesTest, OnlyVariablesAreRead) {
  Add(Node("a", "Identity", {"v"}));
  Add(Node("through", "ReadVariableOp", {"a"}));
  Add(Node("of_none", "ReadVariableOp", {"lost"}));
  Assign("file");
  EXPECT_FALSE(InGraph("through"));
  EXPECT_FALSE(InGraph("of_none"));
}

TEST_F(VariablesTest, AnotherNodeWithTheNameOfOneIsNone) {
  Add(Node("path", "Placeholder"));
  Add(Node("by_name", "ReadVariableOp", {"path"}));
  Assign("file");
  EXPECT_TRUE(InGraph("read"));
  EXPECT_FALSE(InGraph("by_name"));
}

}  // namespace
}  // namespace savedmodel::engine
