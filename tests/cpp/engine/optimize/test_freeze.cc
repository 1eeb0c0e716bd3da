// SPDX-License-Identifier: Apache-2.0
// Reads of a variable become reads of a constant, in the graph and inside loops and branches, with the
// results of a session with the variable. Other reads stay.
#include <gtest/gtest.h>

#include <utility>

#include "engine/optimize/freeze.h"
#include "tensorflow/core/framework/function.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Attribute;
using testing::Dims;
using testing::GraphBuilder;
using FDH = tf::FunctionDefHelper;

constexpr tf::DataType kFloat = tf::DT_FLOAT;
const Dims kDims = {4, 3};

tf::AttrValue Types(const std::vector<tf::DataType>& types) {
  tf::AttrValue value;
  for (const tf::DataType type : types) value.mutable_list()->add_type(type);
  return value;
}

FDH::Node Statement(const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
                    const std::vector<std::pair<std::string, FDH::AttrValueWrapper>>& attributes) {
  FDH::Node node;
  node.ret = {name};
  node.op = op;
  node.arg = inputs;
  node.attr = attributes;
  return node;
}

class Freezing : public ::testing::Test {
 protected:
  static std::string AddHandle(GraphBuilder* builder, const char* name) {
    return builder->Op(
        "VarHandleOp", {},
        {{"dtype", kFloat}, {"shape", tf::TensorShape(kDims)}, {"shared_name", name}, {"container", ""}},
        false);
  }
  std::string Handle() { return AddHandle(&b_, "v"); }
  std::string Read(const std::string& handle) {
    return b_.Op("ReadVariableOp", {handle}, {{"dtype", kFloat}}, false);
  }
  std::string Loop(const std::string& handle, const char* body) {
    return b_.Op("While", {b_.Ints({0}, {}), b_.Constant(kDims), handle},
                 {{"T", Types({tf::DT_INT32, kFloat, tf::DT_RESOURCE})},
                  {"cond", FDH::FunctionRef("less").proto},
                  {"body", FDH::FunctionRef(body).proto}},
                 false);
  }

  // A loop of three rounds; `statement` computes "y" from x and the variable v.
  void AddLoop(const char* body, const std::vector<FDH::Node>& statements) {
    *library_.add_function() =
        FDH::Create("less", {"i: int32", "x: float", "v: resource"}, {"b: bool"}, {},
                    {FDH::Const<std::int32_t>("three", 3),
                     Statement("less", "Less", {"i", "three:output:0"}, {{"T", tf::DT_INT32}})},
                    {{"b", "less:z:0"}});
    std::vector<FDH::Node> nodes = statements;
    nodes.push_back(FDH::Const<std::int32_t>("one", 1));
    nodes.push_back(Statement("next", "AddV2", {"i", "one:output:0"}, {{"T", tf::DT_INT32}}));
    *library_.add_function() =
        FDH::Create(body, {"i: int32", "x: float", "v: resource"}, {"j: int32", "y: float", "w: resource"},
                    {}, nodes, {{"j", "next:z:0"}, {"y", "y:z:0"}, {"w", "v"}});
  }

  tf::GraphDef Graph() const {
    tf::GraphDef graph = b_.graph();
    *graph.mutable_library() = library_;
    EXPECT_TRUE(tf::AddDefaultAttrsToGraphDef(&graph, *tf::OpRegistry::Global(), 0).ok());
    return graph;
  }

  Frozen Run(bool constant = true) {
    frozen_graph_ = Graph();
    return Freeze(&frozen_graph_, &pool_, [&](const tf::NodeDef&, tf::Tensor* value) {
      *value = value_;
      return constant;
    });
  }

  // The values of the fetches, after an assignment of the variable if `assign`.
  std::vector<tf::Tensor> Results(tf::GraphDef graph, bool assign) {
    GraphBuilder assignment;
    const std::string handle = AddHandle(&assignment, "v");
    assignment.Op("AssignVariableOp", {handle, assignment.Value(value_)}, {{"dtype", kFloat}}, false);
    for (tf::NodeDef node : assignment.graph().node()) {
      node.set_name("assign_" + node.name());
      for (std::string& input : *node.mutable_input()) input = "assign_" + input;
      *graph.add_node() = node;
    }
    const std::string target = graph.node(graph.node_size() - 1).name();
    const std::unique_ptr<tf::Session> session(tf::NewSession(tf::SessionOptions()));
    std::vector<tf::Tensor> results;
    auto status = session->Create(graph);
    if (status.ok() && assign) status = session->Run({}, {}, {target}, nullptr);
    if (status.ok()) status = session->Run({}, b_.fetches(), {}, &results);
    EXPECT_TRUE(status.ok()) << status;
    return results;
  }

  // Expects that `reads` become reads of one constant, and that no fetch changes. The frozen graph assigns
  // nothing.
  void Expect(int reads) {
    const Frozen frozen = Run();
    EXPECT_EQ(frozen.variables, 1);
    EXPECT_EQ(frozen.reads, reads);
    EXPECT_EQ(frozen.kept, 0);
    EXPECT_EQ(frozen.bytes, static_cast<std::int64_t>(value_.TotalBytes()));
    const auto before = Results(Graph(), true), after = Results(frozen_graph_, false);
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].DebugString(100), after[i].DebugString(100)) << i;
    }
  }

  int Count(const std::string& op) const {
    int count = 0;
    for (const tf::NodeDef& node : frozen_graph_.node()) count += node.op() == op ? 1 : 0;
    return count;
  }

  GraphBuilder b_;
  tf::FunctionDefLibrary library_;
  tf::GraphDef frozen_graph_;
  ConstantPool pool_;
  tf::Tensor value_ = testing::Numbers(kDims, 3);
};

TEST_F(Freezing, Reads) {
  const std::string handle = Handle();
  b_.Fetch(Read(handle));
  b_.Fetch(b_.Op("Neg", {Read(handle)}));
  Expect(2);
  EXPECT_EQ(Count("ReadVariableOp"), 0);
}

TEST_F(Freezing, HandlesOfOneVariableShareAConstant) {
  b_.Fetch(b_.Op("AddV2", {Read(Handle()), Read(Handle())}));
  Expect(2);
  EXPECT_EQ(Count("Const"), 1);
}

TEST_F(Freezing, ThroughIdentities) {
  const std::string handle = b_.Op("Identity", {Handle()}, {{"T", tf::DT_RESOURCE}}, false);
  b_.Fetch(Read(b_.Op("Identity", {handle}, {{"T", tf::DT_RESOURCE}}, false)));
  Expect(1);
}

TEST_F(Freezing, GathersAndShapes) {
  const std::string handle = Handle();
  const std::vector<Attribute> attributes = {{"dtype", kFloat}, {"Tindices", tf::DT_INT32}};
  b_.Fetch(b_.Op("ResourceGather", {handle, b_.Ints({2, 0}, {2})}, attributes, false));
  b_.Fetch(b_.Op("ResourceGatherNd", {handle, b_.Ints({2, 0}, {1, 2})}, attributes, false));
  const std::string shape = b_.Op("VariableShape", {handle}, {{"out_type", tf::DT_INT32}}, false);
  b_.Fetch(b_.Op("Cast", {shape}, {{"SrcT", tf::DT_INT32}, {"DstT", kFloat}}, false));
  Expect(3);
  EXPECT_EQ(Count("GatherV2") + Count("GatherNd") + Count("Shape"), 3);
}

TEST_F(Freezing, LargeValuesAreBesideTheGraph) {
  value_ = testing::Numbers({100, 100}, 3);
  b_.Fetch(Read(Handle()));
  Run();
  EXPECT_EQ(Count(kPooledConstantOp), 1);
}

TEST_F(Freezing, VariablesThatHaveToStay) {
  b_.Fetch(Read(Handle()));
  const Frozen frozen = Run(false);
  EXPECT_EQ(frozen.variables, 0);
  EXPECT_EQ(frozen.reads, 0);
  EXPECT_EQ(frozen.kept, 1);
  EXPECT_EQ(Count("ReadVariableOp"), 1);
  EXPECT_EQ(Count("Const"), 0);
}

TEST_F(Freezing, ReadsThatHaveToStay) {
  const std::string handle = Handle();
  b_.Fetch(b_.Op("ResourceGather", {handle, b_.Ints({0, 1, 2, 0}, {4, 1})},
                 {{"dtype", kFloat}, {"Tindices", tf::DT_INT32}, {"batch_dims", 1}}, false));
  b_.Op("VarIsInitializedOp", {handle}, {}, false);
  EXPECT_EQ(Run().reads, 0);
  EXPECT_EQ(Count("ResourceGather"), 1);
  EXPECT_EQ(Count("VarIsInitializedOp"), 1);
}

const FDH::Node kRead = Statement("read", "ReadVariableOp", {"v"}, {{"dtype", kFloat}});
const FDH::Node kAdd = Statement("y", "AddV2", {"x", "read:value:0"}, {{"T", kFloat}});

TEST_F(Freezing, InsideALoop) {
  AddLoop("body", {kRead, kAdd});
  b_.Fetch(Loop(Handle(), "body") + ":1");
  b_.Fetch(Loop(Handle(), "body") + ":1");
  Expect(2);
  EXPECT_EQ(library_.function_size() + 4, frozen_graph_.library().function_size());
}

TEST_F(Freezing, GathersInsideALoop) {
  AddLoop(
      "body",
      {FDH::Const<std::int32_t>("rows", tf::gtl::ArraySlice<std::int32_t>({1, 0, 3, 2})),
       Statement(
           "read", "ResourceGather", {"v", "rows:output:0"},
           {{"dtype", kFloat}, {"Tindices", tf::DT_INT32}, {"batch_dims", 0}, {"validate_indices", true}}),
       Statement("y", "AddV2", {"x", "read:output:0"}, {{"T", kFloat}})});
  b_.Fetch(Loop(Handle(), "body") + ":1");
  Expect(1);
}

TEST_F(Freezing, LoopsThatKeepTheirHandle) {
  AddLoop("body", {kRead, kAdd});
  AddLoop("writes", {Statement("write", "AssignVariableOp", {"v", "x"}, {{"dtype", kFloat}}), kRead, kAdd});
  AddLoop("passes_on", {Statement("alias", "Identity", {"v"}, {{"T", tf::DT_RESOURCE}}),
                        Statement("read", "ReadVariableOp", {"alias:output:0"}, {{"dtype", kFloat}}), kAdd});
  b_.Fetch(Loop(Handle(), "passes_on") + ":1");
  b_.Fetch(Read(Loop(Handle(), "body") + ":2"));  // read after the loop
  b_.Fetch(Loop(Handle(), "writes") + ":1");
  EXPECT_EQ(Run().reads, 0);
}

TEST_F(Freezing, InsideABranch) {
  for (const char* name : {"yes", "no"}) {
    *library_.add_function() = FDH::Create(
        name, {"x: float", "v: resource"}, {"z: float"}, {},
        {kRead, Statement("y", name[0] == 'y' ? "AddV2" : "Mul", {"x", "read:value:0"}, {{"T", kFloat}})},
        {{"z", "y:z:0"}});
  }
  for (const int condition : {0, 1}) {
    b_.Fetch(b_.Op("If", {b_.Ints({condition}, {}), b_.Constant(kDims), Handle()},
                   {{"Tcond", tf::DT_INT32},
                    {"Tin", Types({kFloat, tf::DT_RESOURCE})},
                    {"Tout", Types({kFloat})},
                    {"then_branch", FDH::FunctionRef("yes").proto},
                    {"else_branch", FDH::FunctionRef("no").proto}},
                   false));
    tf::AttrValue branches;
    for (const char* name : {"yes", "no"}) branches.mutable_list()->add_func()->set_name(name);
    b_.Fetch(
        b_.Op("Case", {b_.Ints({condition}, {}), b_.Constant(kDims), Handle()},
              {{"Tin", Types({kFloat, tf::DT_RESOURCE})}, {"Tout", Types({kFloat})}, {"branches", branches}},
              false));
  }
  Expect(4);
}

}  // namespace
}  // namespace savedmodel::engine
