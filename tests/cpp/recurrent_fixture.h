// SPDX-License-Identifier: Apache-2.0
// A generated model with a recurrent layer: a TensorFlow session of it, and its graph to fuse.
#pragma once

#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/optimize/recurrent/recurrent.h"
#include "gtest/gtest.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/grappler/grappler_item.h"
#include "tensorflow/core/grappler/optimizers/meta_optimizer.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

using Tensors = std::vector<tf::Tensor>;
using Feeds = std::vector<std::pair<std::string, tf::Tensor>>;
using Kinds = std::multiset<std::string>;

inline std::string NodeOf(const std::string& tensor) { return tensor.substr(0, tensor.find(':')); }

// A generated model: a TensorFlow session of it, and its graph with functions inlined and loops kept.
class Recurrent : public ::testing::Test {
 protected:
  void Load(const std::string& name) {
    const char* chosen = std::getenv("SAVEDMODEL_TEST_MODELS");
    const std::string path = std::string(chosen != nullptr ? chosen : SAVEDMODEL_TEST_MODELS) + "/" + name;
    ASSERT_TRUE(tf::LoadSavedModel({}, {}, path, {"serve"}, &bundle_).ok()) << path;
    const tf::SignatureDef signature = bundle_.meta_graph_def.signature_def().at("serving_default");
    fetches_.clear();
    std::map<std::string, std::string> outputs;  // sorted
    for (const auto& [key, info] : signature.outputs()) outputs[key] = info.name();
    for (const auto& [key, tensor] : outputs) fetches_.push_back(tensor);
    inputs_.clear();
    for (const auto& [key, info] : signature.inputs()) inputs_[key] = info.name();

    tf::grappler::GrapplerItem item;
    item.graph = bundle_.meta_graph_def.graph_def();
    KeepLoops(&item.graph);
    item.fetch = fetches_;
    for (const auto& [key, tensor] : inputs_) item.feed.emplace_back(tensor, tf::Tensor());
    tf::ConfigProto config;
    auto* rewrite = config.mutable_graph_options()->mutable_rewrite_options();
    for (const char* optimizer : {"pruning", "function", "pruning"}) rewrite->add_optimizers(optimizer);
    rewrite->set_meta_optimizer_iterations(tf::RewriterConfig::ONE);
    rewrite->set_min_graph_nodes(-1);
    graph_.Clear();
    ASSERT_TRUE(tf::grappler::RunMetaOptimizer(std::move(item), config, nullptr, nullptr, &graph_).ok());
  }

  std::vector<RecurrentRewrite> Fuse() {
    std::unordered_set<std::string> keep = kept_;
    for (const std::string& fetch : fetches_) keep.insert(NodeOf(fetch));
    for (const auto& [key, tensor] : inputs_) keep.insert(NodeOf(tensor));
    return FuseRecurrent(&graph_, keep);
  }

  // The kinds of fused layers, and for loops that stayed the reason in brackets.
  static Kinds KindsOf(const std::vector<RecurrentRewrite>& report) {
    Kinds kinds;
    for (const auto& loop : report) kinds.insert(loop.kind.empty() ? "[" + loop.why_not + "]" : loop.kind);
    return kinds;
  }

  // Turns reads of variables into constants.
  void Freeze() {
    for (tf::NodeDef& node : *graph_.mutable_node()) {
      if (node.op() != "ReadVariableOp") continue;
      const tf::NodeDef* variable = Find(NodeOf(node.input(0)));
      while (variable->op() == "Identity") variable = Find(NodeOf(variable->input(0)));
      Tensors value;
      const auto run = bundle_.session->Run({}, {variable->name() + "/Read/ReadVariableOp:0"}, {}, &value);
      ASSERT_TRUE(run.ok()) << run;
      node.set_op("Const");
      node.clear_input();
      node.clear_attr();
      value[0].AsProtoTensorContent((*node.mutable_attr())["value"].mutable_tensor());
      (*node.mutable_attr())["dtype"].set_type(value[0].dtype());
    }
  }

  tf::NodeDef* Find(const std::string& name) {
    for (tf::NodeDef& node : *graph_.mutable_node()) {
      if (node.name() == name) return &node;
    }
    return nullptr;
  }
  // The only node with this op, or null.
  tf::NodeDef* Only(const std::string& op) {
    tf::NodeDef* found = nullptr;
    for (tf::NodeDef& node : *graph_.mutable_node()) {
      if (node.op() != op) continue;
      if (found != nullptr) return nullptr;
      found = &node;
    }
    return found;
  }
  // The body of the only loop, or another of its functions.
  tf::FunctionDef* FunctionOf(const char* attr = "body") {
    tf::NodeDef* loop = Only("While") != nullptr ? Only("While") : Only("StatelessWhile");
    const std::string name = loop->attr().at(attr).func().name();
    for (tf::FunctionDef& function : *graph_.mutable_library()->mutable_function()) {
      if (function.signature().name() == name) return &function;
    }
    return nullptr;
  }
  tf::NodeDef* InBody(const std::string& op, int which = 0, const char* function = "body") {
    for (tf::NodeDef& node : *FunctionOf(function)->mutable_node_def()) {
      if (node.op() == op && which-- == 0) return &node;
    }
    return nullptr;
  }

  Feeds RandomFeeds(const std::map<std::string, tf::TensorShape>& shapes) {
    Feeds feeds;
    std::mt19937 generator(7);
    std::normal_distribution<float> number;
    for (const auto& [key, shape] : shapes) {
      tf::Tensor tensor(tf::DT_FLOAT, shape);
      auto flat = tensor.flat<float>();
      for (int i = 0; i < flat.size(); ++i) flat(i) = number(generator);
      feeds.emplace_back(inputs_.at(key), tensor);
    }
    return feeds;
  }

  static std::unique_ptr<tf::Session> Open(const tf::GraphDef& graph) {
    tf::SessionOptions options;
    options.config.mutable_graph_options()->mutable_rewrite_options()->set_disable_meta_optimizer(true);
    std::unique_ptr<tf::Session> session(tf::NewSession(options));
    const auto created = session->Create(graph);
    EXPECT_TRUE(created.ok()) << created;
    return session;
  }

  static void ExpectNear(const Tensors& results, const Tensors& expected) {
    ASSERT_EQ(results.size(), expected.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      ASSERT_EQ(results[i].shape(), expected[i].shape());
      const auto a = results[i].flat<float>(), b = expected[i].flat<float>();
      for (int k = 0; k < a.size(); ++k) ASSERT_NEAR(a(k), b(k), 2e-6) << "result " << i;
    }
  }

  // Runs graph_ and compares it with TensorFlow's own session.
  void ExpectSameResults(const Feeds& feeds) {
    Freeze();
    Tensors expected, results;
    const auto reference = bundle_.session->Run(feeds, fetches_, {}, &expected);
    ASSERT_TRUE(reference.ok()) << reference;
    const auto session = Open(graph_);
    for (int run = 0; run < 2; ++run) {  // the second run finds the weights packed
      const auto ran = session->Run(feeds, fetches_, {}, &results);
      ASSERT_TRUE(ran.ok()) << ran;
      ExpectNear(results, expected);
    }
  }

  void ExpectFused(const std::string& name, const Kinds& kinds,
                   const std::vector<std::map<std::string, tf::TensorShape>>& feeds = {{{"x", {3, 7, 5}}},
                                                                                       {{"x", {1, 7, 5}}}}) {
    Load(name);
    if (HasFatalFailure()) return;
    EXPECT_EQ(KindsOf(Fuse()), kinds);
    for (const auto& shapes : feeds) ExpectSameResults(RandomFeeds(shapes));
  }

  // Loads rnn_lstm, changes its graph, and expects that its loop stays.
  void ExpectKept(const std::function<void()>& change, const std::string& why,
                  const char* name = "rnn_lstm") {
    Load(name);
    if (HasFatalFailure()) return;
    change();
    const std::string before = graph_.SerializeAsString();
    EXPECT_EQ(KindsOf(Fuse()), Kinds{"[" + why + "]"});
    EXPECT_EQ(graph_.SerializeAsString(), before);
  }

  const std::string kNoStep = "its steps are not those of an LSTM or a GRU with the default activations";
  tf::SavedModelBundle bundle_;
  tf::GraphDef graph_;
  std::vector<std::string> fetches_;
  std::map<std::string, std::string> inputs_;
  std::unordered_set<std::string> kept_;
};

}  // namespace savedmodel::engine
