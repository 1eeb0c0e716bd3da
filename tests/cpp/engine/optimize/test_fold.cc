// SPDX-License-Identifier: Apache-2.0
// Large constants beside the graph, and folding before the first run.
#include <gtest/gtest.h>

#include "engine/optimize/fold.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Dims;
using testing::GraphBuilder;

constexpr std::int64_t kLargeRows = 128;  // of 64 floats: 32 KB

class Fold : public ::testing::Test {
 protected:
  Fold() : session_(tf::NewSession(tf::SessionOptions())) {
    const tf::DeviceMgr* devices = nullptr;
    EXPECT_TRUE(session_->LocalDeviceManager(&devices).ok());
    device_ = devices->ListDevices().front();
  }
  std::string Large() { return b_.Constant({kLargeRows, 64}); }
  // The value of the constant that a fetch reads, or null.
  const tf::Tensor* Folded(const std::string& fetch) const {
    for (const tf::NodeDef& node : graph_.node()) {
      if (node.name() != fetch) continue;
      for (const tf::NodeDef& source : graph_.node()) {
        if (source.name() == node.input(0)) return pool_.Find(source);
      }
    }
    return nullptr;
  }
  int Run() {
    graph_ = b_.graph();
    EXPECT_TRUE(tf::AddDefaultAttrsToGraphDef(&graph_, *tf::OpRegistry::Global(), 0).ok());
    PoolLargeConstants(&graph_, &pool_);
    return FoldLargeConstants(&graph_, device_, &pool_);
  }
  // Expects that `count` nodes become constants, and that all fetches equal a session's results.
  void Expect(int count) {
    EXPECT_EQ(Run(), count);
    const std::vector<tf::Tensor> expected = testing::RunGraph(b_.graph(), b_.fetches());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const tf::Tensor* value = Folded(b_.fetches()[i]);
      ASSERT_NE(value, nullptr) << i;
      EXPECT_EQ(value->shape(), expected[i].shape());
      EXPECT_EQ(value->tensor_data(), expected[i].tensor_data());
    }
  }

  std::unique_ptr<tf::Session> session_;
  tf::Device* device_ = nullptr;
  GraphBuilder b_;
  tf::GraphDef graph_;
  ConstantPool pool_;
};

TEST_F(Fold, LargeConstantsAreBesideTheGraph) {
  const std::string large = Large();
  const std::string small = b_.Constant({64});
  const std::string ints = b_.Value(tf::Tensor(tf::DT_INT32, {8192}));
  const std::string strings = b_.Value(tf::Tensor(tf::DT_STRING, {8192}));
  tf::GraphDef graph = b_.graph();
  PoolLargeConstants(&graph, &pool_);
  for (const tf::NodeDef& node : graph.node()) {
    const bool pooled = node.name() == large || node.name() == ints;
    EXPECT_EQ(node.op(), pooled ? kPooledConstantOp : "Const") << node.name();
    EXPECT_EQ(pool_.Find(node) != nullptr, pooled);
  }
}

TEST_F(Fold, AChain) {
  const std::string product = b_.Op("Mul", {Large(), b_.Constant({64})});
  b_.Fetch(b_.Op("Transpose", {product, b_.Ints({1, 0}, {2})}, {{"Tperm", tf::DT_INT32}}));
  Expect(2);
}

TEST_F(Fold, ThroughIdentities) {
  b_.Fetch(b_.Op("Neg", {b_.Op("Identity", {b_.Op("Identity", {Large()})})}));
  Expect(1);
}

TEST_F(Fold, SeveralReaders) {
  const std::string sum = b_.Op("AddV2", {Large(), Large()});
  b_.Fetch(b_.Op("Neg", {sum}));
  b_.Fetch(b_.Op("Mul", {sum, sum}));
  Expect(3);
}

TEST_F(Fold, AConstantIsNotOverwritten) {
  const std::string large = Large();
  b_.Fetch(b_.Op("Neg", {large}));  // in place, if that were allowed
  b_.Fetch(b_.Op("Relu", {large}));
  Expect(2);
}

TEST_F(Fold, NotWhatIsFed) {
  b_.Fetch(b_.Op("Mul", {Large(), b_.Feed({64})}));
  EXPECT_EQ(Run(), 0);
}

TEST_F(Fold, NotWhatIsMuchLargerThanItsInputs) {
  const std::string column = b_.Constant({4096, 1});
  b_.Fetch(b_.Op("MatMul", {column, b_.Constant({1, 64})}));
  b_.Fetch(b_.Op("Tile", {column, b_.Ints({1, 2}, {2})}));
  b_.Fetch(b_.Op("BroadcastTo", {column, b_.Ints({4096, 2}, {2})}));
  EXPECT_EQ(Run(), 0);
}

TEST_F(Fold, NotSeveralOutputsNorControlEdges) {
  const std::string x = b_.Feed({2});
  b_.Fetch(b_.Op("Split", {b_.Ints({1}, {}), Large()}, {{"num_split", 2}}));
  b_.Fetch(b_.Op("Neg", {Large(), "^" + x}));
  EXPECT_EQ(Run(), 0);
}

TEST_F(Fold, NotRandomNumbers) {
  b_.Fetch(b_.Op("RandomPoisson", {b_.Ints({1}, {1}), Large()},
                 {{"S", tf::DT_INT32}, {"dtype", tf::DT_FLOAT}}, false));
  EXPECT_EQ(Run(), 0);
}

TEST_F(Fold, SmallOnesAreLeftToTensorFlow) {
  b_.Fetch(b_.Op("Neg", {b_.Constant({64})}));
  EXPECT_EQ(Run(), 0);
}

TEST_F(Fold, ErrorsAreLeftToTheRun) {
  b_.Fetch(b_.Op("AddV2", {Large(), b_.Constant({63})}));
  EXPECT_EQ(Run(), 0);
}

}  // namespace
}  // namespace savedmodel::engine
