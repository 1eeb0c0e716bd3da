// SPDX-License-Identifier: Apache-2.0
// The checks of a graph: on parts of graphs, and on valid graphs with small limits. No graph here is harmful
// to TensorFlow.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "engine/files/graph_checks.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/full_type.pb.h"
#include "tensorflow/core/framework/op.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Dims;
using testing::GraphBuilder;

tf::TensorShapeProto ShapeOf(const Dims& dims) {
  tf::TensorShapeProto shape;
  for (const std::int64_t size : dims) shape.add_dim()->set_size(size);
  return shape;
}

tf::NodeDef Node(const std::string& op, const std::vector<std::string>& inputs = {}) {
  tf::NodeDef node;
  node.set_name("n");
  node.set_op(op);
  for (const std::string& input : inputs) node.add_input(input);
  return node;
}

void Calls(const std::string& attribute, const std::string& function, tf::NodeDef* node) {
  (*node->mutable_attr())[attribute].mutable_func()->set_name(function);
}

void Types(const std::string& attribute, int count, tf::NodeDef* node) {
  auto* list = (*node->mutable_attr())[attribute].mutable_list();
  for (int i = 0; i < count; ++i) list->add_type(tf::DT_FLOAT);
}

tf::FunctionDef* AddFunction(const std::string& name, tf::FunctionDefLibrary* library) {
  tf::FunctionDef* function = library->add_function();
  function->mutable_signature()->set_name(name);
  return function;
}

const tf::OpDef* OpOf(const tf::NodeDef& node) {
  const tf::OpDef* op = nullptr;
  EXPECT_TRUE(tf::OpRegistry::Global()->LookUpOpDef(node.op(), &op).ok());
  return op;
}

bool Says(const std::string& fault, const std::string& text) { return fault.find(text) != std::string::npos; }

// A graph with a constant of three floats, a placeholder with an annotated shape, and a call of a function
// that calls another one.
tf::MetaGraphDef Sound() {
  GraphBuilder b;
  const std::string constant = b.Constant({3});
  tf::MetaGraphDef meta_graph;
  tf::GraphDef& graph = *meta_graph.mutable_graph_def();
  graph = b.graph();
  tf::NodeDef* identity = graph.add_node();
  *identity = Node("Identity", {constant});
  (*identity->mutable_attr())["T"].set_type(tf::DT_FLOAT);
  *(*identity->mutable_attr())["_output_shapes"].mutable_list()->add_shape() = ShapeOf({3});
  tf::NodeDef call = Node("PartitionedCall", {"n"});
  call.set_name("call");
  Types("Tin", 1, &call);
  Types("Tout", 1, &call);
  for (const auto& [name, calls] : {std::pair("outer", "inner"), std::pair("inner", "")}) {
    tf::FunctionDef* function = AddFunction(name, graph.mutable_library());
    auto* input = function->mutable_signature()->add_input_arg();
    input->set_name("a");
    input->set_type(tf::DT_FLOAT);
    auto* output = function->mutable_signature()->add_output_arg();
    output->set_name("r");
    output->set_type(tf::DT_FLOAT);
    tf::NodeDef* body = function->add_node_def();
    if (*calls != '\0') {
      *body = call;
      body->set_name("n");
      Calls("f", calls, body);
    } else {
      *body = *identity;
      body->mutable_attr()->erase("_output_shapes");
    }
    body->set_input(0, "a");
    (*function->mutable_ret())["r"] = "n:output:0";
  }
  Calls("f", "outer", &call);
  *graph.add_node() = call;
  return meta_graph;
}

std::string Refusal(const tf::MetaGraphDef& meta_graph, const GraphLimits& limits) {
  try {
    CheckGraph("/m", meta_graph, limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(GraphChecks, ASoundGraphPasses) { EXPECT_EQ(Refusal(Sound(), GraphLimits()), ""); }

TEST(GraphChecks, LimitsHoldForEveryNode) {
  GraphLimits limits;
  limits.elements = 2;
  EXPECT_TRUE(Says(Refusal(Sound(), limits), "a shape with more elements than fit in memory"));
  limits = GraphLimits();
  limits.dimensions = 1;
  EXPECT_TRUE(Says(Refusal(Sound(), limits), "a tensor of 1 dimensions, more than TensorFlow can have"));
  limits = GraphLimits();
  limits.bytes = 11;
  EXPECT_TRUE(Says(Refusal(Sound(), limits), "more than the machine's memory"));
  limits.bytes = 12;
  EXPECT_EQ(Refusal(Sound(), limits), "");
}

// The constant, the identity, and the call with its callees: 1 + 1 + 3.
TEST(GraphChecks, InlinedFunctionsAreCounted) {
  GraphLimits limits;
  limits.nodes = 5;
  EXPECT_EQ(Refusal(Sound(), limits), "");
  limits.nodes = 4;
  EXPECT_TRUE(Says(Refusal(Sound(), limits), "'/m': node 'call': it calls functions that call themselves"));
}

TEST(GraphChecks, FunctionBodiesAreLookedAt) {
  tf::MetaGraphDef meta_graph = Sound();
  tf::FunctionDef* inner = meta_graph.mutable_graph_def()->mutable_library()->mutable_function(1);
  inner->mutable_node_def(0)->mutable_attr()->erase("T");
  EXPECT_TRUE(
      Says(Refusal(meta_graph, GraphLimits()), "node 'n' of function 'inner': its attribute 'T' is missing"));
}

TEST(GraphFaults, DataTypes) {
  for (const tf::DataType type : {tf::DT_FLOAT, tf::DT_STRING, tf::DT_RESOURCE, tf::DT_UINT4}) {
    EXPECT_EQ(FaultOfDataType(type), "");
  }
  EXPECT_TRUE(Says(FaultOfDataType(tf::DataType_MAX + 1), "which TensorFlow does not have"));
  tf::AttrValue value;
  value.set_type(tf::DT_INVALID);
  EXPECT_EQ(FaultOfValue(value, GraphLimits()), "");
  value.set_type(tf::DT_FLOAT_REF);
  EXPECT_TRUE(Says(FaultOfValue(value, GraphLimits()), "a reference type"));
}

TEST(GraphFaults, Shapes) {
  GraphLimits limits;
  limits.elements = 12;
  limits.dimensions = 4;
  EXPECT_EQ(FaultOfShape(ShapeOf({}), limits), "");
  EXPECT_EQ(FaultOfShape(ShapeOf({3, 4}), limits), "");
  EXPECT_EQ(FaultOfShape(ShapeOf({-1, 0, 12}), limits), "");
  EXPECT_TRUE(Says(FaultOfShape(ShapeOf({13}), limits), "more elements"));
  EXPECT_TRUE(Says(FaultOfShape(ShapeOf({2, -1, 7}), limits), "more elements"));
  EXPECT_TRUE(Says(FaultOfShape(ShapeOf({1, 1, 1, 1}), limits), "4 dimensions"));
  EXPECT_TRUE(IsOneNumber(ShapeOf({})));
  EXPECT_TRUE(IsOneNumber(ShapeOf({1, 1})));
  EXPECT_FALSE(IsOneNumber(ShapeOf({2})));
  EXPECT_FALSE(IsOneNumber(ShapeOf({0})));
}

TEST(GraphFaults, AConstantIsOfItsType) {
  tf::NodeDef node = Node("Const");
  (*node.mutable_attr())["value"].mutable_tensor()->set_dtype(tf::DT_INT32);
  (*node.mutable_attr())["dtype"].set_type(tf::DT_INT32);
  EXPECT_EQ(FaultOfValues(node, GraphLimits()), "");
  (*node.mutable_attr())["dtype"].set_type(tf::DT_FLOAT);
  EXPECT_EQ(FaultOfValues(node, GraphLimits()),
            "its value has the type int32, but its attribute 'dtype' is float");
}

TEST(GraphFaults, Attributes) {
  tf::NodeDef node = Node("StringJoin", {"x", "x"});
  EXPECT_EQ(FaultOfAttributes(node, OpOf(node)), "its attribute 'N' is missing");
  (*node.mutable_attr())["N"].set_i(2);
  EXPECT_EQ(FaultOfAttributes(node, OpOf(node)), "");  // 'separator' has a default
  (*node.mutable_attr())["N"].set_i(3);
  EXPECT_EQ(FaultOfAttributes(node, OpOf(node)), "it has 2 inputs, but its attribute 'N' is 3");
  (*node.mutable_attr())["N"].set_s("2");
  EXPECT_EQ(FaultOfAttributes(node, OpOf(node)), "its attribute 'N' is not of the type 'int'");
  node = Node("UnicodeTranscode", {"x"});
  (*node.mutable_attr())["input_encoding"].set_s("UTF-8");
  (*node.mutable_attr())["output_encoding"].set_s("UTF-9");
  EXPECT_EQ(FaultOfAttributes(node, OpOf(node)),
            "its attribute 'output_encoding' has a value that UnicodeTranscode does not allow");
  (*node.mutable_attr())["output_encoding"].set_placeholder("of_the_function");
  EXPECT_EQ(FaultOfAttributes(node, OpOf(node)), "");
  EXPECT_EQ(FaultOfAttributes(node, nullptr), "");
}

TEST(GraphFaults, Inputs) {
  tf::NodeDef node = Node("AddV2", {"x", "y", "^z"});
  (*node.mutable_attr())["T"].set_type(tf::DT_FLOAT);
  EXPECT_EQ(FaultOfInputs(node, OpOf(node)), "");
  node.mutable_input()->RemoveLast();
  node.mutable_input()->RemoveLast();
  EXPECT_EQ(FaultOfInputs(node, OpOf(node)), "it has 1 inputs, and AddV2 takes 2");
  EXPECT_EQ(FaultOfInputs(node, nullptr), "");
}

TEST(GraphFaults, FullTypes) {
  tf::NodeDef node = Node("Identity", {"x"});
  (*node.mutable_attr())["T"].set_type(tf::DT_FLOAT);
  EXPECT_EQ(FaultOfFullType(node, OpOf(node)), "");
  node.mutable_experimental_type()->set_type_id(tf::TFT_PRODUCT);
  EXPECT_TRUE(Says(FaultOfFullType(node, OpOf(node)), "does not have a type for each of its outputs"));
  node.mutable_experimental_type()->add_args()->set_type_id(tf::TFT_TENSOR);
  EXPECT_EQ(FaultOfFullType(node, OpOf(node)), "");
}

TEST(GraphFaults, Calls) {
  tf::OpDef function;
  function.set_name("f");
  function.add_input_arg()->set_type(tf::DT_FLOAT);
  function.add_output_arg()->set_type(tf::DT_FLOAT);
  tf::NodeDef call = Node("PartitionedCall");
  Types("Tin", 1, &call);
  Types("Tout", 1, &call);
  EXPECT_EQ(FaultOfCall(call, function), "");
  Types("Tin", 1, &call);
  EXPECT_EQ(FaultOfCall(call, function), "its inputs do not match those of the function 'f'");
  function.add_input_arg()->set_type(tf::DT_FLOAT);
  Types("Tout", 1, &call);
  EXPECT_EQ(FaultOfCall(call, function), "its outputs do not match those of the function 'f'");
}

TEST(GraphFaults, FunctionsThatAreNotThere) {
  tf::FunctionDefLibrary library;
  const CalledNodes called(library);
  tf::NodeDef call = Node("PartitionedCall");
  Calls("f", "lost", &call);
  EXPECT_EQ(called.Fault(call), "");  // TensorFlow reports this itself
  tf::NodeDef branch = Node("StatelessIf");
  Calls("then_branch", "lost", &branch);
  EXPECT_EQ(called.Fault(branch), "it calls the function 'lost', which does not exist");
}

TEST(GraphFaults, CountsOfCalledNodes) {
  tf::FunctionDefLibrary library;
  const char* const names[] = {"one", "two", "itself"};
  for (const char* name : names) AddFunction(name, &library);
  *library.mutable_function(0)->add_node_def() = Node("Identity");
  for (int i = 0; i < 2; ++i) Calls("f", "one", library.mutable_function(1)->add_node_def());
  Calls("f", "itself", library.mutable_function(2)->add_node_def());
  CalledNodes called(library);
  EXPECT_EQ(called.Count(Node("Identity")), 1);
  EXPECT_EQ(called.Count(Node("one")), 2);
  EXPECT_EQ(called.Count(Node("two")), 5);
  EXPECT_TRUE(std::isinf(called.Count(Node("itself"))));
}

}  // namespace
}  // namespace savedmodel::engine
