// SPDX-License-Identifier: Apache-2.0
// Attention as Keras 2, Keras 3 and Hugging Face write it, and near misses.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/graph/rewriter.h"
#include "engine/optimize/passes/passes.h"
#include "tests/cpp/transformer_graphs.h"

namespace savedmodel::engine {
namespace {

namespace tf = tensorflow;
using Strings = std::vector<std::string>;

// x is [3, 4, 8]: three samples, four positions, two heads of depth four.
struct Form {
  bool einsum = false;
  std::string scores = "BTNH,BSNH->BNTS", result = "BNTS,BSNH->BTNH";  // of Einsum
  bool swapped = false;                                                // the operands of both Einsums
  bool key_transposed = false;  // by a separate Transpose, not by adj_y
  bool scale_query = false;     // instead of the scores
  bool heads_behind = true;     // a last Transpose
  std::string mask;             // the name of a mask that is added to the scores
  bool mask_first = false;
  std::vector<int> last = {0, 2, 1, 3};
};

// Makes query, key and value from x.
void Project(TestGraph* graph) {
  graph->Feed("x", {-1, 4, 8});
  const std::string shape = graph->Ints({-1, 4, 2, 4});
  for (const std::string name : {"query", "key", "value"}) {
    graph->Op(name + "_x", "Mul", {"x", graph->Random({4, 8})});
    graph->Op(name, "Reshape", {name + "_x", shape});
  }
}

std::string Transposed(TestGraph* graph, const std::string& tensor, const std::vector<int>& order) {
  return graph->Op(tensor + "_t" + std::to_string(order[1]), "Transpose", {tensor, graph->Ints(order)});
}

std::string Einsum(TestGraph* graph, const std::string& name, Strings inputs, std::string equation,
                   bool swapped) {
  if (swapped) {
    std::swap(inputs[0], inputs[1]);
    equation = equation.substr(5, 4) + "," + equation.substr(0, 4) + equation.substr(9);
  }
  graph->Op(name, "Einsum", inputs);
  graph->Set("equation", equation);
  graph->Set("N", 2);
  return name;
}

std::string BatchMatMul(TestGraph* graph, const std::string& name, const Strings& inputs, bool adj_y) {
  graph->Op(name, "BatchMatMulV2", inputs);
  graph->Set("adj_x", false);
  graph->Set("adj_y", adj_y);
  return name;
}

std::string Attention(TestGraph* graph, const Form& form) {
  std::string query = "query";
  const std::string scale = graph->Scalar(0.5F);
  if (form.scale_query) query = graph->Op("scaled_query", "Mul", {query, scale});
  std::string logits;
  if (form.einsum) {
    logits = Einsum(graph, "scores", {query, "key"}, form.scores, form.swapped);
  } else {
    query = Transposed(graph, query, {0, 2, 1, 3});
    std::string key = Transposed(graph, "key", {0, 2, 1, 3});
    if (form.key_transposed) key = Transposed(graph, key, {0, 1, 3, 2});
    logits = BatchMatMul(graph, "scores", {query, key}, !form.key_transposed);
  }
  if (!form.scale_query) logits = graph->Op("scaled", "RealDiv", {logits, graph->Scalar(2)});
  if (!form.mask.empty()) {
    const Strings terms = form.mask_first ? Strings{form.mask, logits} : Strings{logits, form.mask};
    logits = graph->Op("masked", "AddV2", terms);
  }
  graph->Op("weights", "Softmax", {logits});
  if (form.einsum) return Einsum(graph, "result", {"weights", "value"}, form.result, form.swapped);
  BatchMatMul(graph, "result", {"weights", Transposed(graph, "value", {0, 2, 1, 3})}, false);
  return form.heads_behind ? Transposed(graph, "result", form.last) : "result";
}

void ExpectFused(const Form& form, const tf::TensorShape& mask = {}) {
  TestGraph graph;
  Project(&graph);
  Form with = form;
  if (mask.dims() > 0) with.mask = graph.Random(mask);
  const auto result = Expect(graph.Finish(Attention(&graph, with)), {FuseAttention}, 1);
  EXPECT_EQ(Count(result, "_SavedmodelAttention"), 1);
  for (const char* op : {"Softmax", "BatchMatMulV2", "Einsum", "Transpose", "RealDiv", "AddV2"}) {
    EXPECT_EQ(Count(result, op), 0) << op;
  }
}

TEST(Attention, EveryForm) {
  std::vector<Form> forms(9);
  forms[0].einsum = true;                     // Keras 3
  forms[1].einsum = forms[1].swapped = true;  // Keras 2
  forms[1].scale_query = true;
  forms[2].scale_query = true;
  forms[3].key_transposed = true;
  forms[4].heads_behind = false;
  forms[5].einsum = true;
  forms[5].scores = "aecd,abcd->aceb";
  forms[5].result = "acbe,aecd->abcd";
  forms[6].einsum = true;
  forms[6].result = "BNTS,BSNH->BNTH";
  forms[8].key_transposed = forms[8].scale_query = true;
  for (const Form& form : forms) ExpectFused(form);
}

TEST(Attention, Masks) {
  for (const tf::TensorShape& shape : std::vector<tf::TensorShape>{
           {4}, {4, 4}, {1, 1, 4}, {3, 1, 1, 4}, {3, 2, 4, 4}, {1, 2, 1, 4}, {3, 1, 4, 1}, {2, 4, 1}, {1}}) {
    Form form;
    ExpectFused(form, shape);
    form.mask_first = form.einsum = true;
    ExpectFused(form, shape);
  }
}

TEST(Attention, SamplesAndHeadsBroadcast) {
  for (const char* single : {"key_t2", "value_t2"}) {  // one head for all
    TestGraph graph;
    Project(&graph);
    graph.Op("one", "Reshape", {"x", graph.Ints({-1, 1, 8, 4})});
    graph.Op("both_t2", "Transpose", {"key", graph.Ints({0, 2, 1, 3})});
    graph.Op("eight", "ConcatV2", {"both_t2", "both_t2", graph.Int(2)});
    graph.Set("N", 2);
    const bool key = single == std::string("key_t2");
    BatchMatMul(&graph, "scores", {Transposed(&graph, "query", {0, 2, 1, 3}), key ? "one" : "eight"}, true);
    graph.Op("weights", "Softmax", {"scores"});
    BatchMatMul(&graph, "result", {"weights", key ? "eight" : "one"}, false);
    Expect(graph.Finish("result"), {FuseAttention}, 1);
  }
}

TEST(Attention, NearMisses) {
  const auto expect_none = [](const std::function<std::string(TestGraph*)>& make) {
    TestGraph graph;
    Project(&graph);
    const auto result = Expect(graph.Finish(make(&graph)), {FuseAttention}, 0);
    EXPECT_EQ(Count(result, "_SavedmodelAttention"), 0);
  };
  for (const char* read : {"weights", "scores", "scaled"}) {  // with another reader
    expect_none([&](TestGraph* graph) {
      const std::string result = Attention(graph, {});
      graph->Fetch(read);
      return result;
    });
  }
  expect_none([](TestGraph* graph) {  // swaps heads and depth
    Form form;
    form.einsum = true;
    form.result = "BNTS,BSNH->BTHN";
    return Attention(graph, form);
  });
  expect_none([](TestGraph* graph) {  // a mask that is multiplied, not added
    Attention(graph, {});
    graph->Op("shut", "Mul", {"scaled", graph->Random({4, 4})});
    graph->Op("shut_weights", "Softmax", {"shut"});
    return BatchMatMul(graph, "other", {"shut_weights", "value_t2"}, false);
  });
  expect_none([](TestGraph* graph) {  // the softmax is the second factor
    Attention(graph, {});
    return BatchMatMul(graph, "other", {"scores", "weights"}, false);
  });
  expect_none([](TestGraph* graph) {  // of three dimensions
    BatchMatMul(graph, "scores", {"query_x", "key_x"}, true);
    graph->Op("weights", "Softmax", {"scores"});
    return BatchMatMul(graph, "result", {"weights", "value_x"}, false);
  });
  expect_none([](TestGraph* graph) {  // depth is not last
    const std::string query = Transposed(graph, "query", {0, 2, 3, 1});
    BatchMatMul(graph, "scores", {query, Transposed(graph, "key", {0, 2, 1, 3})}, false);
    graph->Op("weights", "Softmax", {"scores"});
    return BatchMatMul(graph, "result", {"weights", Transposed(graph, "value", {0, 2, 3, 1})}, true);
  });
}

// A different last Transpose stays.
TEST(Attention, AnotherTransposeBehind) {
  TestGraph graph;
  Project(&graph);
  Form form;
  form.last = {0, 1, 3, 2};
  const auto result = Expect(graph.Finish(Attention(&graph, form)), {FuseAttention}, 1);
  EXPECT_EQ(Count(result, "Transpose"), 1);
}

TEST(Attention, OtherTypesStay) {
  TestGraph graph;
  graph.Feed("x", {-1, 4, 8});
  graph.Op("heads", "Reshape", {"x", graph.Ints({-1, 2, 4, 4})});
  graph.Op("double", "Cast", {"heads"});
  graph.Set("SrcT", tf::DT_FLOAT);
  graph.Set("DstT", tf::DT_DOUBLE);
  graph.Op("scores", "BatchMatMulV2", {"double", "double"}, tf::DT_DOUBLE);
  graph.Set("adj_y", true);
  graph.Op("weights", "Softmax", {"scores"}, tf::DT_DOUBLE);
  graph.Op("wide", "BatchMatMulV2", {"weights", "double"}, tf::DT_DOUBLE);
  graph.Op("result", "Cast", {"wide"});
  graph.Set("SrcT", tf::DT_DOUBLE);
  graph.Set("DstT", tf::DT_FLOAT);
  Expect(graph.Finish("result"), {FuseAttention}, 0);
}

}  // namespace
}  // namespace savedmodel::engine
