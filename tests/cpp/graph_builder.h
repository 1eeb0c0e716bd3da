// SPDX-License-Identifier: Apache-2.0
// Small graphs for the tests of passes: one line per node, and a session's results before and after a pass.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/rewriter.h"
#include "gtest/gtest.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/graph_def_util.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/public/version.h"

namespace savedmodel::testing {

namespace tf = tensorflow;
using Dims = std::vector<std::int64_t>;

// {"padding", "SAME"}, {"strides", Dims{1, 2, 2, 1}}, {"T", tf::DT_HALF}
struct Attribute {
  Attribute(const char* key, bool v) : name(key) { value.set_b(v); }
  Attribute(const char* key, int v) : name(key) { value.set_i(v); }
  Attribute(const char* key, float v) : name(key) { value.set_f(v); }
  Attribute(const char* key, const char* v) : name(key) { value.set_s(v); }
  Attribute(const char* key, tf::DataType v) : name(key) { value.set_type(v); }
  Attribute(const char* key, const Dims& v) : name(key) {
    for (const std::int64_t i : v) value.mutable_list()->add_i(i);
  }
  Attribute(const char* key, const tf::TensorShape& v) : name(key) { v.AsProto(value.mutable_shape()); }
  Attribute(const char* key, tf::AttrValue v) : name(key), value(std::move(v)) {}
  const char* name;
  tf::AttrValue value;
};

inline tf::Tensor Numbers(const Dims& dims, unsigned seed, float low = -1, float high = 1) {
  tf::Tensor tensor(tf::DT_FLOAT, tf::TensorShape(dims));
  std::minstd_rand random(seed * 7919 + 1);
  std::uniform_real_distribution<float> distribution(low, high);
  for (std::int64_t i = 0; i < tensor.NumElements(); ++i) tensor.flat<float>()(i) = distribution(random);
  return tensor;
}

// Every function that adds a node returns its name.
class GraphBuilder {
 public:
  GraphBuilder() { graph_.mutable_versions()->set_producer(TF_GRAPH_DEF_VERSION); }

  // A size of -1 is unknown; it is fed as 2.
  std::string Feed(const Dims& dims) {
    tf::NodeDef* node = New("Placeholder", {});
    (*node->mutable_attr())["dtype"].set_type(tf::DT_FLOAT);
    auto* shape = (*node->mutable_attr())["shape"].mutable_shape();
    for (const std::int64_t dim : dims) shape->add_dim()->set_size(dim);
    return node->name();
  }
  std::string Value(const tf::Tensor& value) {
    tf::NodeDef* node = New("Const", {});
    (*node->mutable_attr())["dtype"].set_type(value.dtype());
    value.AsProtoTensorContent((*node->mutable_attr())["value"].mutable_tensor());
    return node->name();
  }
  std::string Constant(const Dims& dims, float low = -1, float high = 1) {
    return Value(Numbers(dims, static_cast<unsigned>(graph_.node_size()), low, high));
  }
  std::string Ints(const std::vector<std::int32_t>& values, const Dims& dims) {
    tf::Tensor tensor(tf::DT_INT32, tf::TensorShape(dims));
    std::copy(values.begin(), values.end(), tensor.flat<std::int32_t>().data());
    return Value(tensor);
  }
  // T is float32 unless the attributes set it; pass `typed` as false for an op without T.
  std::string Op(const std::string& op, const std::vector<std::string>& inputs,
                 const std::vector<Attribute>& attributes = {}, bool typed = true) {
    tf::NodeDef* node = New(op, inputs);
    if (typed) (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    for (const Attribute& attribute : attributes) (*node->mutable_attr())[attribute.name] = attribute.value;
    return node->name();
  }
  void Fetch(const std::string& tensor) {
    tf::NodeDef* node = New("Identity", {tensor});
    (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    fetches_.push_back(node->name());
  }

  const tf::GraphDef& graph() const { return graph_; }
  const std::vector<std::string>& fetches() const { return fetches_; }

 private:
  tf::NodeDef* New(const std::string& op, const std::vector<std::string>& inputs) {
    tf::NodeDef* node = graph_.add_node();
    node->set_name("n" + std::to_string(graph_.node_size()));
    node->set_op(op);
    for (const std::string& input : inputs) node->add_input(input);
    return node;
  }

  tf::GraphDef graph_;
  std::vector<std::string> fetches_;
};

// The fetches of a run in which every feed has other numbers; without graph optimizer. Runs in the caller's
// thread, because sanitizers don't see the queues of TensorFlow's.
inline std::vector<tf::Tensor> RunGraph(const tf::GraphDef& graph, const std::vector<std::string>& fetches) {
  tf::SessionOptions options;
  auto* rewrite = options.config.mutable_graph_options()->mutable_rewrite_options();
  rewrite->set_disable_meta_optimizer(true);
  const std::unique_ptr<tf::Session> session(tf::NewSession(options));
  std::vector<std::pair<std::string, tf::Tensor>> feeds;
  for (const tf::NodeDef& node : graph.node()) {
    if (node.op() != "Placeholder") continue;
    Dims dims;
    for (const auto& dim : node.attr().at("shape").shape().dim())
      dims.push_back(dim.size() < 0 ? 2 : dim.size());
    feeds.emplace_back(node.name(), Numbers(dims, static_cast<unsigned>(feeds.size()) + 100));
  }
  std::vector<tf::Tensor> results;
  auto status = session->Create(graph);
  tf::RunOptions run;
  run.set_inter_op_thread_pool(-1);
  if (status.ok()) status = session->Run(run, feeds, fetches, {}, &results, nullptr);
  EXPECT_TRUE(status.ok()) << status;
  return results;
}

struct Rewritten {
  int count = 0;
  tf::GraphDef graph;
  std::map<std::string, int> ops;  // that the fetches need, except Const, Placeholder and Identity
};

// Runs a pass, and expects the same results from the new graph, relative to the largest value.
inline Rewritten Rewrite(const GraphBuilder& builder, int (*pass)(engine::Rewriter*),
                         double tolerance = 1e-5) {
  Rewritten result;
  result.graph = builder.graph();
  EXPECT_TRUE(tf::AddDefaultAttrsToGraphDef(&result.graph, *tf::OpRegistry::Global(), 0).ok());
  {
    engine::Rewriter rewriter(&result.graph);
    result.count = pass(&rewriter);
    rewriter.Finish();
  }
  std::map<std::string, const tf::NodeDef*> nodes;
  for (const tf::NodeDef& node : result.graph.node()) nodes[node.name()] = &node;
  std::vector<std::string> pending = builder.fetches();
  while (!pending.empty()) {
    const auto found = nodes.find(engine::TensorRef(pending.back()).node);
    pending.pop_back();
    if (found == nodes.end()) continue;
    const tf::NodeDef& node = *found->second;
    nodes.erase(found);
    if (node.op() != "Const" && node.op() != "Placeholder" && node.op() != "Identity")
      ++result.ops[node.op()];
    pending.insert(pending.end(), node.input().begin(), node.input().end());
  }
  const std::vector<tf::Tensor> before = RunGraph(builder.graph(), builder.fetches());
  const std::vector<tf::Tensor> after = RunGraph(result.graph, builder.fetches());
  EXPECT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    EXPECT_EQ(before[i].shape(), after[i].shape());
    if (before[i].shape() != after[i].shape()) continue;
    double scale = 0, error = 0;
    for (std::int64_t j = 0; j < before[i].NumElements(); ++j) {
      const double value = before[i].flat<float>()(j);
      scale = std::max(scale, std::abs(value));
      error = std::max(error, std::abs(value - static_cast<double>(after[i].flat<float>()(j))));
    }
    EXPECT_LE(error, tolerance * scale) << "fetch " << i;
  }
  return result;
}

}  // namespace savedmodel::testing
