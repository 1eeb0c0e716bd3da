// SPDX-License-Identifier: Apache-2.0
// Each pass on its own graphs and on near misses; results before and after in TensorFlow's session.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "engine/graph/rewriter.h"
#include "engine/optimize/passes/passes.h"
#include "tests/cpp/transformer_graphs.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

std::string ErfcGelu(TestGraph* graph, const std::string& x, float half = 0.5F) {
  graph->Op("half", "Mul", {graph->Scalar(half), x});
  graph->Op("negative", "Neg", {x});
  graph->Op("argument", "Mul", {"negative", graph->Scalar(std::sqrt(0.5F))});
  graph->Op("erfc", "Erfc", {"argument"});
  return graph->Op("gelu", "Mul", {"half", "erfc"});
}

std::string ErfGelu(TestGraph* graph, const std::string& x, bool divide) {
  graph->Op("argument", divide ? "RealDiv" : "Mul", {x, graph->Scalar(std::sqrt(divide ? 2.0F : 0.5F))});
  graph->Op("erf", "Erf", {"argument"});
  graph->Op("gate", "AddV2", {graph->Scalar(1), "erf"});
  graph->Op("product", "Mul", {x, "gate"});
  return graph->Op("gelu", "Mul", {"product", graph->Scalar(0.5F)});
}

std::string TanhGelu(TestGraph* graph, const std::string& x, float exponent = 3) {
  graph->Op("cube", "Pow", {x, graph->Scalar(exponent)});
  graph->Op("small", "Mul", {graph->Scalar(0.044715F), "cube"});
  graph->Op("sum", "AddV2", {x, "small"});
  graph->Op("argument", "Mul", {graph->Scalar(0.7978845608F), "sum"});
  graph->Op("tanh", "Tanh", {"argument"});
  graph->Op("gate", "AddV2", {graph->Scalar(1), "tanh"});
  graph->Op("half", "Mul", {graph->Scalar(0.5F), x});
  return graph->Op("gelu", "Mul", {"half", "gate"});
}

TEST(Gelu, EveryForm) {
  for (const auto& form : std::vector<std::function<std::string(TestGraph*)>>{
           [](TestGraph* graph) { return ErfcGelu(graph, "x"); },
           [](TestGraph* graph) { return ErfGelu(graph, "x", true); },
           [](TestGraph* graph) { return ErfGelu(graph, "x", false); },
           [](TestGraph* graph) { return TanhGelu(graph, "x"); }}) {
    TestGraph graph;
    graph.Feed("x", {-1, 4, 8});
    const auto result = Expect(graph.Finish(form(&graph)), {FuseGelu}, 1);
    EXPECT_EQ(Count(result, "_SavedmodelGelu"), 1);
  }
}

TEST(Gelu, NearMisses) {
  for (const auto& form : std::vector<std::function<std::string(TestGraph*)>>{
           [](TestGraph* graph) { return ErfcGelu(graph, "x", 0.51F); },
           [](TestGraph* graph) { return TanhGelu(graph, "x", 2); },
           [](TestGraph* graph) {
             const std::string result = ErfcGelu(graph, "x");
             graph->Fetch("erfc");
             return result;
           }}) {
    TestGraph graph;
    graph.Feed("x", {-1, 4, 8});
    Expect(graph.Finish(form(&graph)), {FuseGelu}, 0);
  }
}

enum class Form { kKeras3, kSub, kByHand, kDivided };

// x * (r * gamma) + ..., or (x - m) * r * gamma + beta
std::string LayerNorm(TestGraph* graph, Form form, int axis = -1, bool keep = true, bool constant = true) {
  graph->Op("mean", "Mean", {"x", graph->Ints({axis})});
  graph->Set("keep_dims", keep);
  graph->Op("difference", "SquaredDifference", {"x", "mean"});
  graph->Op("variance", "Mean", {"difference", graph->Ints({axis})});
  graph->Set("keep_dims", keep);
  graph->Op("sum", "AddV2", {"variance", graph->Scalar(1e-3F)});
  const std::string gamma = constant ? graph->Random({1, 1, 8}) : graph->Op("gamma", "Exp", {"x"});
  const std::string beta = graph->Random({8});
  if (form == Form::kByHand || form == Form::kDivided) {
    graph->Op("off", "Sub", {"x", "mean"});
    graph->Op("root", form == Form::kByHand ? "Rsqrt" : "Sqrt", {"sum"});
    graph->Op("normal", form == Form::kByHand ? "Mul" : "RealDiv", {"off", "root"});
    graph->Op("scaled", "Mul", {"normal", gamma});
    return graph->Op("norm", "AddV2", {"scaled", beta});
  }
  graph->Op("root", "Rsqrt", {"sum"});
  graph->Op("scale", "Mul", {"root", gamma});
  graph->Op("scaled", "Mul", {"x", "scale"});
  if (form == Form::kKeras3) {
    graph->Op("negative", "Neg", {"mean"});
    graph->Op("moved", "Mul", {"negative", "scale"});
    graph->Op("shift", "AddV2", {"moved", beta});
  } else {
    graph->Op("moved", "Mul", {"mean", "scale"});
    graph->Op("shift", "Sub", {beta, "moved"});
  }
  return graph->Op("norm", "AddV2", {"scaled", "shift"});
}

TEST(LayerNorm, EveryForm) {
  for (const Form form : {Form::kKeras3, Form::kSub, Form::kByHand, Form::kDivided}) {
    for (const int axis : {-1, 2}) {
      TestGraph graph;
      graph.Feed("x", {-1, 4, 8});
      const auto result = Expect(graph.Finish(LayerNorm(&graph, form, axis)), {FuseLayerNorm}, 1);
      EXPECT_EQ(Count(result, "_SavedmodelLayerNorm"), 1) << static_cast<int>(form);
    }
  }
}

TEST(LayerNorm, NearMisses) {
  for (const Form form : {Form::kKeras3, Form::kSub, Form::kByHand, Form::kDivided}) {
    TestGraph wrong_axis;
    wrong_axis.Feed("x", {-1, 4, 8});
    Expect(wrong_axis.Finish(LayerNorm(&wrong_axis, form, 1)), {FuseLayerNorm}, 0);
    TestGraph dropped;  // the remaining one broadcasts along another axis
    dropped.Feed("x", {8, 8, 8});
    Expect(dropped.Finish(LayerNorm(&dropped, form, 2, false)), {FuseLayerNorm}, 0, {8, 8, 8});
    TestGraph computed;
    computed.Feed("x", {-1, 4, 8});
    Expect(computed.Finish(LayerNorm(&computed, form, -1, true, false)), {FuseLayerNorm}, 0);
    TestGraph fetched;
    fetched.Feed("x", {-1, 4, 8});
    const std::string result = LayerNorm(&fetched, form);
    fetched.Fetch("variance");
    Expect(fetched.Finish(result), {FuseLayerNorm}, 0);
    TestGraph unknown;
    unknown.Feed("x", {-1, 4, -1});
    Expect(unknown.Finish(LayerNorm(&unknown, form)), {FuseLayerNorm}, 0);
  }
}

TEST(Dense, EveryActivation) {
  for (const char* activation : {"", "Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid"}) {
    for (const char* sum : {"BiasAdd", "AddV2", ""}) {
      TestGraph graph;
      graph.Feed("x", {-1, 8});
      std::string last = graph.Op("product", "MatMul", {"x", graph.Random({8, 5})});
      if (*sum != 0) last = graph.Op("sum", sum, {last, graph.Random({5})});
      if (*activation != 0) last = graph.Op("activation", activation, {last});
      const auto result = Expect(graph.Finish(last), {FuseDense}, 1, {7, 8});
      EXPECT_EQ(result.node_size() - Count(result, "Const"), 3);
      EXPECT_EQ(Count(result, "_SavedmodelDense"), 1);
    }
  }
}

TEST(Dense, LargeOnesGoToTensorFlow) {
  for (const char* activation : {"Relu", "LeakyRelu", "gelu", "tanh gelu"}) {
    TestGraph graph;
    graph.Feed("x", {-1, 256});
    graph.Op("product", "MatMul", {"x", graph.Random({192, 256})});
    graph.Set("transpose_b", true);
    std::string last = graph.Op("biased", "BiasAdd", {"product", graph.Random({192})});
    const std::string kind = activation;
    last = kind == "gelu"        ? ErfcGelu(&graph, last)
           : kind == "tanh gelu" ? TanhGelu(&graph, last)
                                 : graph.Op("activation", kind, {last});
    const int count = kind.find("gelu") == std::string::npos ? 1 : 2;
    Expect(graph.Finish(last), {FuseGelu, FuseDense}, count, {100, 256});
  }
}

TEST(Dense, ReshapesAround) {
  TestGraph graph;
  graph.Feed("x", {-1, 4, 8});
  graph.Op("rows", "Reshape", {"x", graph.Ints({-1, 8})});
  graph.Op("product", "MatMul", {"rows", graph.Random({8, 6})});
  graph.Op("back", "Reshape", {"product", graph.Ints({-1, 4, 6})});
  graph.Op("sum", "AddV2", {"back", graph.Random({6})});
  graph.Op("relu", "Relu", {"sum"});
  const auto result = Expect(graph.Finish("relu"), {FuseDense}, 1);
  for (const tf::NodeDef& node : result.node()) {
    if (node.op() == "_SavedmodelDense") {
      EXPECT_EQ(node.input(0), "x");
    }
    if (node.name() == "out") {
      EXPECT_EQ(node.input(0), "product");
    }
  }
}

TEST(Dense, ReshapeToOtherRowsStays) {
  TestGraph graph;
  graph.Feed("x", {-1, 4, 8});
  graph.Op("rows", "Reshape", {"x", graph.Ints({-1, 8})});
  graph.Op("product", "MatMul", {"rows", graph.Random({8, 6})});
  graph.Op("back", "Reshape", {"product", graph.Ints({-1, 2, 6})});
  graph.Op("sum", "AddV2", {"back", graph.Random({6})});
  Expect(graph.Finish("sum"), {FuseDense}, 1);
}

TEST(Dense, HeadsOfAttention) {
  TestGraph graph;
  graph.Feed("x", {-1, 4, 8});
  graph.Op("product", "BatchMatMulV2", {"x", graph.Random({8, 6})});
  graph.Op("heads", "Reshape", {"product", graph.Ints({-1, 4, 3, 2})});
  graph.Op("sum", "AddV2", {"heads", graph.Random({3, 2})});
  Expect(graph.Finish("sum"), {FuseDense}, 1);
}

struct Tensordot {
  std::vector<std::int64_t> shape{-1, -1, 8};  // of x
  std::vector<int> kept{0, 1};                 // axes of x
  std::vector<int> columns{6};
  bool transposed = false;
  std::string shape_of = "x";
};

// A dense layer as Keras writes it, without bias.
std::string Build(TestGraph* graph, const Tensordot& t) {
  graph->Feed("x", t.shape);
  graph->Op("y", "Exp", {"x"});
  graph->Op("shape", "Shape", {t.shape_of});
  graph->Op("kept", "GatherV2", {"shape", graph->Ints(t.kept), graph->Int(0)});
  graph->Set("Tparams", tf::DT_INT32);
  graph->Set("Tindices", tf::DT_INT32);
  graph->Set("Taxis", tf::DT_INT32);
  graph->Op("new", "ConcatV2", {"kept", graph->Ints(t.columns), graph->Int(0)}, tf::DT_INT32);
  graph->Set("N", 2);
  graph->Op("rows", "Reshape", {"x", graph->Ints({-1, 8})});
  graph->Op("product", "MatMul",
            {"rows", graph->Random(t.transposed ? tf::TensorShape({6, 8}) : tf::TensorShape({8, 6}))});
  graph->Set("transpose_b", t.transposed);
  return graph->Op("back", "Reshape", {"product", "new"});
}

TEST(Tensordot, BecomesOneLayer) {
  for (const bool transposed : {false, true}) {
    for (const int dims : {3, 4}) {
      Tensordot t;
      t.transposed = transposed;
      if (dims == 4) {
        t.shape = {-1, -1, -1, 8};
        t.kept = {0, 1, 2};
      }
      TestGraph graph;
      const std::string biased = graph.Op("biased", "BiasAdd", {Build(&graph, t), graph.Random({6})});
      const tf::TensorShape fed = dims == 3 ? tf::TensorShape({3, 4, 8}) : tf::TensorShape({3, 2, 4, 8});
      const auto result =
          Expect(graph.Finish(ErfcGelu(&graph, biased)), {FuseGelu, ReplaceTensordot, FuseDense}, 3, fed);
      EXPECT_EQ(Count(result, "_SavedmodelDense"), 1);
      EXPECT_EQ(Count(result, "Reshape") + Count(result, "Shape") + Count(result, "_SavedmodelGelu"), 0);
    }
  }
}

TEST(Tensordot, NearMisses) {
  const auto expect = [](const Tensordot& t, int count) {
    TestGraph graph;
    Expect(graph.Finish(Build(&graph, t)), {ReplaceTensordot}, count);
  };
  expect({}, 1);
  Tensordot swapped;
  swapped.kept = {1, 0};
  expect(swapped, 0);
  Tensordot split;
  split.columns = {2, 3};
  expect(split, 0);
  Tensordot other;
  other.shape_of = "y";
  expect(other, 0);
  Tensordot unknown;
  unknown.shape = {-1, -1, -1};
  expect(unknown, 0);
  TestGraph fetched;
  const std::string back = Build(&fetched, {});
  fetched.Fetch("product");
  Expect(fetched.Finish(back), {ReplaceTensordot}, 0);
}

TEST(Dense, AddendsOfTheSameShape) {
  for (const char* op : {"AddV2", "Add"}) {
    for (const int side : {0, 1}) {
      TestGraph graph;
      graph.Feed("x", {-1, 4, 8});
      graph.Op("product", "BatchMatMulV2", {"x", graph.Random({8, 8})});
      graph.Op("biased", "BiasAdd", {"product", graph.Random({8})});
      graph.Op("sum", op, side == 0 ? TestGraph::Inputs{"biased", "x"} : TestGraph::Inputs{"x", "biased"});
      const auto result = Expect(graph.Finish(graph.Op("relu", "Relu", {"sum"})), {FuseDense}, 1);
      EXPECT_EQ(Count(result, op) + Count(result, "Relu"), 0);
    }
  }
}

// Of two added layers, each takes what the other leaves.
TEST(Dense, SumOfTwoLayers) {
  TestGraph graph;
  graph.Feed("x", {-1, 4, 8});
  graph.Op("a", "BatchMatMulV2", {"x", graph.Random({8, 6})});
  graph.Op("b", "BatchMatMulV2", {"x", graph.Random({8, 6})});
  const auto result = Expect(graph.Finish(graph.Op("sum", "AddV2", {"a", "b"})), {FuseDense}, 2);
  EXPECT_EQ(Count(result, "AddV2"), 0);
  TestGraph twice;
  twice.Feed("x", {-1, 4, 8});
  twice.Op("a", "BatchMatMulV2", {"x", twice.Random({8, 6})});
  EXPECT_EQ(Count(Expect(twice.Finish(twice.Op("sum", "AddV2", {"a", "a"})), {FuseDense}, 1), "AddV2"), 1);
}

TEST(Dense, AddendsThatAreNotOrMayNotBeOfTheSameShapeStay) {
  const std::vector<std::vector<std::int64_t>> shapes{{-1, 1, 8}, {-1, -1, 8}, {-1, 4, 1}};
  for (const auto& shape : shapes) {
    TestGraph graph;
    graph.Feed("x", {-1, 4, 8});
    graph.Op("product", "BatchMatMulV2", {"x", graph.Random({8, 8})});
    // A tensor of a partly known shape.
    graph.Op("other", "PlaceholderWithDefault", {graph.Random({1, shape[1] < 0 ? 4 : shape[1], shape[2]})});
    graph.Set("dtype", tf::DT_FLOAT);
    tf::PartialTensorShape partial;
    TF_CHECK_OK(tf::PartialTensorShape::MakePartialShape(shape.data(), 3, &partial));
    graph.Set("shape", partial);
    const auto result = Expect(graph.Finish(graph.Op("sum", "AddV2", {"product", "other"})), {FuseDense}, 1);
    EXPECT_EQ(Count(result, "AddV2"), 1);
  }
}

TEST(Dense, BiasOfOtherShapesStays) {
  for (const tf::TensorShape& shape :
       {tf::TensorShape({7, 5}), tf::TensorShape({1}), tf::TensorShape({7, 1}), tf::TensorShape({1, 1, 5})}) {
    TestGraph graph;
    graph.Feed("x", {-1, 8});
    graph.Op("product", "MatMul", {"x", graph.Random({8, 5})});
    graph.Op("sum", "AddV2", {"product", graph.Random(shape)});
    const auto result = Expect(graph.Finish("sum"), {FuseDense}, 1, {7, 8});
    EXPECT_EQ(Count(result, "AddV2"), 1) << shape.DebugString();
  }
  TestGraph heads;  // a bias of columns in another order
  heads.Feed("x", {-1, 4, 8});
  heads.Op("product", "BatchMatMulV2", {"x", heads.Random({8, 4})});
  heads.Op("heads", "Reshape", {"product", heads.Ints({-1, 4, 2, 2})});
  heads.Op("sum", "AddV2", {"heads", heads.Random({2})});
  EXPECT_EQ(Count(Expect(heads.Finish("sum"), {FuseDense}, 1), "AddV2"), 1);
}

TEST(Dense, NearMisses) {
  TestGraph computed;
  computed.Feed("x", {8, 8});
  computed.Op("weights", "Exp", {"x"});
  Expect(computed.Finish(computed.Op("product", "MatMul", {"x", "weights"})), {FuseDense}, 0, {8, 8});
  TestGraph transposed;
  transposed.Feed("x", {8, 8});
  transposed.Op("product", "MatMul", {"x", transposed.Random({8, 5})});
  transposed.Set("transpose_a", true);
  Expect(transposed.Finish("product"), {FuseDense}, 0, {8, 8});
  TestGraph fetched;
  fetched.Feed("x", {-1, 8});
  fetched.Op("product", "MatMul", {"x", fetched.Random({8, 5})});
  fetched.Op("sum", "BiasAdd", {"product", fetched.Random({5})});
  fetched.Op("relu", "Relu", {"sum"});
  fetched.Fetch("sum");
  EXPECT_EQ(Count(Expect(fetched.Finish("relu"), {FuseDense}, 1, {7, 8}), "Relu"), 1);
}

TEST(Dense, OtherTypesStay) {
  for (const tf::DataType type : {tf::DT_HALF, tf::DT_BFLOAT16, tf::DT_DOUBLE}) {
    TestGraph graph;
    graph.Feed("x", {-1, 8});
    const auto cast = [&](const std::string& name, const std::string& from, tf::DataType to) {
      graph.Op(name, "Cast", {from});
      graph.Set("SrcT", to == type ? tf::DT_FLOAT : type);
      graph.Set("DstT", to);
      return name;
    };
    cast("typed", "x", type);
    cast("weights", graph.Random({8, 5}), type);
    graph.Op("product", "MatMul", {"typed", "weights"}, type);
    graph.Op("soft", "Softmax", {"product"}, type);
    Expect(graph.Finish(cast("result", "soft", tf::DT_FLOAT)), {FuseDense, ReplaceSoftmax}, 0, {7, 8});
  }
}

TEST(Softmax, WithAndWithoutScale) {
  for (const float scale : {1.0F, 0.125F, -2.0F}) {
    TestGraph graph;
    graph.Feed("x", {-1, 4, 8});
    if (scale != 1.0F) graph.Op("scaled", "Mul", {"x", graph.Scalar(scale)});
    graph.Op("soft", "Softmax", {scale == 1.0F ? "x" : "scaled"});
    const auto result = Expect(graph.Finish("soft"), {ReplaceSoftmax}, 1);
    for (const tf::NodeDef& node : result.node()) {
      if (node.op() == "_SavedmodelSoftmax") {
        EXPECT_EQ(node.input(0), scale < 0 ? "scaled" : "x");
      }
    }
  }
}

}  // namespace
}  // namespace savedmodel::engine
