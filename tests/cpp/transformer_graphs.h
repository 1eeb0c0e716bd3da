// SPDX-License-Identifier: Apache-2.0
// Graphs of dense layers as in exported models, built node by node; results before and after passes in
// TensorFlow's session.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/graph/rewriter.h"
#include "tensorflow/core/framework/attr_value_util.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/graph_def_util.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

class TestGraph {
 public:
  using Inputs = std::vector<std::string>;

  // Adds a reader, as a fetch has.
  tensorflow::GraphDef Finish(const std::string& result) {
    Op("out", "Identity", {result});
    TF_CHECK_OK(tensorflow::AddDefaultAttrsToGraphDef(&graph_, *tensorflow::OpRegistry::Global(), 0));
    return graph_;
  }
  void Fetch(const std::string& tensor) { Op("fetched", "Identity", {tensor}); }

  std::string Feed(const std::string& name, const std::vector<std::int64_t>& shape) {
    tensorflow::NodeDef* node = New(name, "Placeholder", {});
    (*node->mutable_attr())["dtype"].set_type(tensorflow::DT_FLOAT);
    for (const std::int64_t size : shape)
      (*node->mutable_attr())["shape"].mutable_shape()->add_dim()->set_size(size);
    return name;
  }
  std::string Op(const std::string& name, const std::string& op, const Inputs& inputs,
                 tensorflow::DataType type = tensorflow::DT_FLOAT) {
    (*New(name, op, inputs)->mutable_attr())["T"].set_type(type);
    return name;
  }
  template <typename T>
  void Set(const std::string& attribute, const T& value) {  // of the last node
    tensorflow::SetAttrValue(value, &(*last()->mutable_attr())[attribute]);
  }
  std::string Scalar(float value) { return Constant(tensorflow::Tensor(value)); }
  std::string Int(int value) { return Constant(tensorflow::Tensor(value)); }
  std::string Ints(const std::vector<int>& values) {
    tensorflow::Tensor tensor(tensorflow::DT_INT32, {static_cast<std::int64_t>(values.size())});
    for (std::size_t i = 0; i < values.size(); ++i)
      tensor.flat<int>()(static_cast<std::int64_t>(i)) = values[i];
    return Constant(tensor);
  }
  std::string Random(const tensorflow::TensorShape& shape) { return Constant(RandomTensor(shape, ++seed_)); }

  static tensorflow::Tensor RandomTensor(const tensorflow::TensorShape& shape, unsigned seed) {
    tensorflow::Tensor tensor(tensorflow::DT_FLOAT, shape);
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < tensor.NumElements(); ++i) tensor.flat<float>()(i) = normal(generator);
    return tensor;
  }

 private:
  tensorflow::NodeDef* last() { return graph_.mutable_node(graph_.node_size() - 1); }
  tensorflow::NodeDef* New(const std::string& name, const std::string& op, const Inputs& inputs) {
    tensorflow::NodeDef* node = graph_.add_node();
    node->set_name(name);
    node->set_op(op);
    for (const std::string& input : inputs) node->add_input(input);
    return node;
  }
  std::string Constant(const tensorflow::Tensor& value) {
    const std::string name = "constant" + std::to_string(++constants_);
    tensorflow::NodeDef* node = New(name, "Const", {});
    (*node->mutable_attr())["dtype"].set_type(value.dtype());
    value.AsProtoTensorContent((*node->mutable_attr())["value"].mutable_tensor());
    return name;
  }

  tensorflow::GraphDef graph_;
  int constants_ = 0;
  unsigned seed_ = 0;
};

inline tensorflow::Tensor RunGraph(const tensorflow::GraphDef& graph, const tensorflow::Tensor& x) {
  tensorflow::SessionOptions options;  // the unoptimized graph: TensorFlow's rewrites have faults of their
                                       // own
  options.config.mutable_graph_options()->mutable_rewrite_options()->set_disable_meta_optimizer(true);
  const std::unique_ptr<tensorflow::Session> session(tensorflow::NewSession(options));
  std::vector<tensorflow::Tensor> results;
  auto status = session->Create(graph);
  if (status.ok()) status = session->Run({{"x", x}}, {"out"}, {}, &results);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return results.empty() ? tensorflow::Tensor() : results[0];
}

inline int Count(const tensorflow::GraphDef& graph, const std::string& op) {
  int count = 0;
  for (const tensorflow::NodeDef& node : graph.node()) count += node.op() == op ? 1 : 0;
  return count;
}

// Expects that the passes fire `count` times in total, and change no result.
inline tensorflow::GraphDef Expect(const tensorflow::GraphDef& graph,
                                   const std::vector<int (*)(Rewriter*)>& passes, int count,
                                   const tensorflow::TensorShape& shape = {3, 4, 8}) {
  tensorflow::GraphDef rewritten = graph;
  Rewriter rewriter(&rewritten);
  int fired = 0;
  for (const auto pass : passes) {
    fired += pass(&rewriter);
    rewriter.RemoveUnread({"out", "fetched"});
  }
  rewriter.Finish();
  EXPECT_EQ(fired, count);
  const tensorflow::Tensor x = TestGraph::RandomTensor(shape, 99);
  const tensorflow::Tensor before = RunGraph(graph, x);
  const tensorflow::Tensor after = RunGraph(rewritten, x);
  EXPECT_EQ(before.shape().DebugString(), after.shape().DebugString());
  if (before.shape() != after.shape()) return rewritten;
  float scale = 0;
  for (std::int64_t i = 0; i < before.NumElements(); ++i)
    scale = std::max(scale, std::abs(before.flat<float>()(i)));
  for (std::int64_t i = 0; i < before.NumElements(); ++i)
    EXPECT_NEAR(before.flat<float>()(i), after.flat<float>()(i), 1e-5F * scale);
  return rewritten;
}

}  // namespace savedmodel::engine
