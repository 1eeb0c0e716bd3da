// SPDX-License-Identifier: Apache-2.0
// Isolating a function of a graph: what stays, what is fed, and equal results.
#include <gtest/gtest.h>

#include <map>

#include "engine/graph/isolate.h"
#include "tensorflow/core/framework/function.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Dims;
using testing::GraphBuilder;

constexpr tf::DataType kFloat = tf::DT_FLOAT;

std::map<std::string, const tf::NodeDef*> Nodes(const tf::GraphDef& graph) {
  std::map<std::string, const tf::NodeDef*> nodes;
  for (const tf::NodeDef& node : graph.node()) nodes[node.name()] = &node;
  return nodes;
}

std::vector<tf::Tensor> Compute(const tf::GraphDef& graph,
                                const std::vector<std::pair<std::string, tf::Tensor>>& feeds,
                                const std::vector<std::string>& fetches) {
  const std::unique_ptr<tf::Session> session(tf::NewSession(tf::SessionOptions()));
  std::vector<tf::Tensor> results;
  auto status = session->Create(graph);
  if (status.ok()) status = session->Run(feeds, fetches, {}, &results);
  EXPECT_TRUE(status.ok()) << status;
  return results;
}

// The same feeds give the same results, in the given order.
IsolatedGraph Expect(const GraphBuilder& builder, const std::vector<std::string>& feeds,
                     const std::vector<Dims>& dims, const std::vector<std::string>& fetches) {
  const IsolatedGraph isolated =
      Isolate(builder.graph(), feeds, std::vector<tf::DataType>(feeds.size(), kFloat), fetches,
              std::vector<tf::DataType>(fetches.size(), kFloat));
  EXPECT_EQ(isolated.feeds.size(), feeds.size());
  EXPECT_EQ(isolated.fetches.size(), fetches.size());
  std::vector<std::pair<std::string, tf::Tensor>> before, after;
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    const tf::Tensor value = testing::Numbers(dims[i], static_cast<unsigned>(i) + 50);
    before.emplace_back(feeds[i], value);
    after.emplace_back(isolated.feeds[i], value);
  }
  const auto expected = Compute(builder.graph(), before, fetches);
  const auto results = Compute(isolated.graph, after, isolated.fetches);
  EXPECT_EQ(results.size(), expected.size());
  for (std::size_t i = 0; i < std::min(results.size(), expected.size()); ++i) {
    EXPECT_EQ(results[i].DebugString(100), expected[i].DebugString(100)) << i;
  }
  return isolated;
}

TEST(Isolate, KeepsWhatTheFetchesNeed) {
  GraphBuilder b;
  const std::string x = b.Feed({-1, 3});
  const std::string other = b.Feed({2});
  const std::string product = b.Op("Mul", {x, b.Constant({3})});
  const std::string unused = b.Op("Neg", {other});
  const std::string sum = b.Op("AddV2", {product, x});
  const IsolatedGraph isolated = Expect(b, {x + ":0"}, {{2, 3}}, {sum + ":0", product + ":0"});
  const auto nodes = Nodes(isolated.graph);
  EXPECT_EQ(nodes.count(product), 1);  // names stay
  EXPECT_EQ(nodes.count(unused), 0);
  EXPECT_EQ(nodes.count(other), 0);
  EXPECT_EQ(nodes.count(x), 0);
  const tf::NodeDef& feed = *nodes.at(TensorRef(isolated.feeds[0]).node);
  EXPECT_EQ(feed.op(), "Placeholder");
  EXPECT_EQ(tf::PartialTensorShape(feed.attr().at("shape").shape()).DebugString(), "[?,3]");
  for (const std::string& fetch : isolated.fetches)
    EXPECT_EQ(nodes.at(TensorRef(fetch).node)->op(), "Identity");
}

TEST(Isolate, AnyTensorCanBeFed) {
  GraphBuilder b;
  const std::string x = b.Feed({2, 4});
  const std::string inner = b.Op("Tanh", {x});
  const std::string result = b.Op("AddV2", {b.Op("Mul", {inner, inner}), b.Op("Neg", {inner})});
  const IsolatedGraph isolated = Expect(b, {inner + ":0"}, {{2, 4}}, {result + ":0"});
  const auto nodes = Nodes(isolated.graph);
  EXPECT_EQ(nodes.count(x), 0);
  EXPECT_EQ(nodes.count(inner), 0);
  EXPECT_TRUE(nodes.at(TensorRef(isolated.feeds[0]).node)->attr().at("shape").shape().unknown_rank());
}

TEST(Isolate, OneOutputOfANode) {
  GraphBuilder b;
  const std::string x = b.Feed({2, 4});
  const std::string split = b.Op("Split", {b.Ints({1}, {}), x}, {{"num_split", 2}});
  const std::string result = b.Op("Sub", {split, split + ":1"});
  // The other output is still computed.
  const IsolatedGraph isolated = Expect(b, {x + ":0", split + ":1"}, {{2, 4}, {2, 2}}, {result + ":0"});
  EXPECT_EQ(Nodes(isolated.graph).count(split), 1);
}

TEST(Isolate, ControlEdgesOfAFeedFollowIt) {
  GraphBuilder b;
  const std::string x = b.Feed({2});
  const std::string result = b.Op("AddV2", {b.Op("Neg", {b.Constant({2}), "^" + x}), x});
  const IsolatedGraph isolated = Expect(b, {x + ":0"}, {{2}}, {result + ":0"});
  EXPECT_EQ(Nodes(isolated.graph).count(x), 0);
}

TEST(Isolate, CallsWithSideEffectsHappen) {
  GraphBuilder b;
  const std::string x = b.Feed({2});
  tf::AttrValue types;
  types.mutable_list()->add_type(kFloat);
  const std::string call = b.Op(
      "StatefulPartitionedCall", {x},
      {{"Tin", types}, {"Tout", types}, {"f", tf::FunctionDefHelper::FunctionRef("double").proto}}, false);
  const std::string result = b.Op("Neg", {call});
  tf::GraphDef graph = b.graph();
  tf::FunctionDefHelper::Node sum;
  sum.ret = {"b"};
  sum.op = "AddV2";
  sum.arg = {"a", "a"};
  sum.attr = {{"T", kFloat}};
  *graph.mutable_library()->add_function() =
      tf::FunctionDefHelper::Define("double", {"a: float"}, {"b: float"}, {}, {sum});
  const IsolatedGraph isolated = Isolate(graph, {x + ":0"}, {kFloat}, {result + ":0"}, {kFloat});
  EXPECT_EQ(isolated.graph.library().function_size(), 1);
  const tf::NodeDef& fetch = *Nodes(isolated.graph).at(TensorRef(isolated.fetches[0]).node);
  EXPECT_EQ(fetch.input(fetch.input_size() - 1), "^" + call);
  const tf::Tensor value = testing::Numbers({2}, 1);
  EXPECT_EQ(Compute(isolated.graph, {{isolated.feeds[0], value}}, isolated.fetches)[0].DebugString(),
            Compute(graph, {{x, value}}, {result})[0].DebugString());
}

}  // namespace
}  // namespace savedmodel::engine
