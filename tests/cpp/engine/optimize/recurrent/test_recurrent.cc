// SPDX-License-Identifier: Apache-2.0
// Recurrent layers as one op: fused layers compute the same as their loops, and near misses stay.
#include "engine/graph/calls.h"
#include "engine/ops/rnn.h"
#include "engine/optimize/recurrent/recurrent.h"
#include "gtest/gtest.h"
#include "tests/cpp/recurrent_fixture.h"

namespace savedmodel::engine {
namespace {

TEST_F(Recurrent, Lstm) { ExpectFused("rnn_lstm", {"LSTM"}); }
TEST_F(Recurrent, LastOutput) { ExpectFused("keras_lstm", {"LSTM"}, {{{"series", {2, 5, 3}}}}); }
TEST_F(Recurrent, Gru) { ExpectFused("rnn_gru", {"GRU"}); }
TEST_F(Recurrent, GruResetBefore) { ExpectFused("rnn_gru_before", {"GRU"}); }
TEST_F(Recurrent, GruApart) {
  ExpectFused("rnn_gru_apart", {"GRU"});
  EXPECT_EQ(Only(rnn::kGruOp)->attr().at("num_bias").i(), 1);
  EXPECT_TRUE(Only(rnn::kGruOp)->attr().at("cache_weights").b());
}
TEST_F(Recurrent, ProductsForEachGate) {
  ExpectFused("rnn_by_gates", {"GRU"});
  ExpectFused("rnn_dropout", {"GRU", "GRU", "LSTM", "LSTM"});
}
TEST_F(Recurrent, Stacked) { ExpectFused("rnn_stacked", {"GRU", "LSTM", "LSTM"}); }
TEST_F(Recurrent, FixedBatch) { ExpectFused("rnn_batch", {"LSTM"}, {{{"x", {3, 7, 5}}}}); }
TEST_F(Recurrent, Backwards) { ExpectFused("rnn_backwards", {"GRU"}); }
TEST_F(Recurrent, NoBias) { ExpectFused("rnn_no_bias", {"GRU", "LSTM"}); }
TEST_F(Recurrent, TimeMajor) {
  ExpectFused("rnn_time_major", {"LSTM"}, {{{"x", {7, 3, 5}}}, {{"x", {1, 1, 5}}}});
}
TEST_F(Recurrent, NoSteps) {
  Load("rnn_time_major");
  Fuse();
  Freeze();
  const auto session = Open(graph_);
  // The list of results knows the units but not the batch.
  Tensors results;
  const absl::Status status =
      session->Run(RandomFeeds({{"x", {0, 2, 5}}}), {fetches_[0], fetches_[1]}, {}, &results);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}
TEST_F(Recurrent, AnyLength) {
  ExpectFused("rnn_dynamic", {"GRU", "LSTM", "LSTM"},
              {{{"x", {3, 7, 5}}}, {{"x", {2, 1, 5}}}, {{"x", {1, 90, 5}}}});
}
TEST_F(Recurrent, States) {
  ExpectFused(
      "rnn_states", {"GRU", "LSTM"},
      {{{"x", {3, 7, 5}}, {"h", {3, 6}}, {"c", {3, 6}}}, {{"x", {1, 7, 5}}, {"h", {1, 6}}, {"c", {1, 6}}}});
}

TEST_F(Recurrent, BidirectionalNeedsNoReverse) {
  ExpectFused("rnn_bidirectional", {"GRU", "GRU", "LSTM", "LSTM"});
  int turned = 0;
  for (const tf::NodeDef& node : graph_.node()) {
    if (node.op() == rnn::kLstmOp && node.attr().at("reverse").b() && node.attr().at("reverse_y").b())
      ++turned;
  }
  EXPECT_EQ(turned, 1);
}

TEST_F(Recurrent, StepsAreThoseThatTheLoopWalked) {
  ExpectFused("rnn_lstm", {"LSTM"}, {{{"x", {2, 9, 5}}}});  // seven of nine
  const auto session = Open(graph_);
  Tensors results;
  EXPECT_FALSE(session->Run(RandomFeeds({{"x", {2, 6, 5}}}), fetches_, {}, &results).ok());
}

TEST_F(Recurrent, EmptyBatch) { ExpectFused("rnn_gru", {"GRU"}, {{{"x", {0, 7, 5}}}}); }

TEST_F(Recurrent, FetchedParts) {
  Load("rnn_lstm");
  kept_ = {Only("TensorListStack")->name()};
  fetches_.push_back(*kept_.begin());
  EXPECT_EQ(KindsOf(Fuse()), Kinds{"LSTM"});
  Freeze();
  const auto session = Open(graph_);
  Tensors results;
  ASSERT_TRUE(session->Run(RandomFeeds({{"x", {3, 7, 5}}}), fetches_, {}, &results).ok());
  EXPECT_EQ(results[0].shape(), tf::TensorShape({3, 7, 6}));
  EXPECT_EQ(results[1].shape(), tf::TensorShape({7, 3, 6}));
  const auto batch_major = results[0].tensor<float, 3>(), time_major = results[1].tensor<float, 3>();
  EXPECT_EQ(batch_major(2, 5, 1), time_major(5, 2, 1));
}

// After an assignment the next run uses the new value: packed weights belong to the present buffer.
TEST_F(Recurrent, AssignedWeights) {
  Load("rnn_lstm");
  ASSERT_EQ(KindsOf(Fuse()), Kinds{"LSTM"});
  std::vector<std::string> assign;
  Feeds values;
  const tf::GraphDef fused = graph_;
  for (const tf::NodeDef& node : fused.node()) {
    if (node.op() != "VarHandleOp") continue;
    Tensors value;
    ASSERT_TRUE(bundle_.session->Run({}, {node.name() + "/Read/ReadVariableOp:0"}, {}, &value).ok());
    tf::NodeDef *fed = graph_.add_node(), *op = graph_.add_node();
    fed->set_name(node.name() + "/value");
    fed->set_op("Placeholder");
    (*fed->mutable_attr())["dtype"].set_type(tf::DT_FLOAT);
    op->set_name(node.name() + "/assign");
    op->set_op("AssignVariableOp");
    op->add_input(node.name());
    op->add_input(fed->name());
    (*op->mutable_attr())["dtype"].set_type(tf::DT_FLOAT);
    assign.push_back(op->name());
    values.emplace_back(fed->name(), value[0]);
  }
  const auto session = Open(graph_);
  const Feeds feeds = RandomFeeds({{"x", {1, 7, 5}}});
  Tensors expected, results;
  ASSERT_TRUE(bundle_.session->Run(feeds, fetches_, {}, &expected).ok());
  for (int round = 0; round < 3; ++round) {
    for (auto& [name, value] : values) {
      tf::Tensor zeros(tf::DT_FLOAT, value.shape());
      zeros.flat<float>().setZero();
      ASSERT_TRUE(
          session->Run({{name, zeros}}, {}, {name.substr(0, name.rfind('/')) + "/assign"}, nullptr).ok());
    }
    ASSERT_TRUE(session->Run(feeds, fetches_, {}, &results).ok());
    EXPECT_EQ(results[0].flat<float>()(0), 0.0F);
    ASSERT_TRUE(session->Run(values, {}, assign, nullptr).ok());
    ASSERT_TRUE(session->Run(feeds, fetches_, {}, &results).ok());
    ExpectNear(results, expected);
  }
}

TEST_F(Recurrent, WrongShapesAreErrors) {
  Load("rnn_states");
  Fuse();
  Freeze();
  const auto session = Open(graph_);
  Tensors results;
  for (const tf::TensorShape& h : {tf::TensorShape({2, 6}), tf::TensorShape({3, 7}), tf::TensorShape({6})}) {
    const Feeds feeds = RandomFeeds({{"x", {3, 7, 5}}, {"h", h}, {"c", {3, 6}}});
    EXPECT_EQ(session->Run(feeds, fetches_, {}, &results).code(), absl::StatusCode::kInvalidArgument);
  }
  const Feeds feeds = RandomFeeds({{"x", {3, 7, 4}}, {"h", {3, 6}}, {"c", {3, 6}}});
  EXPECT_EQ(session->Run(feeds, fetches_, {}, &results).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(Recurrent, Masks) {
  ExpectFused("rnn_masked", {"GRU", "GRU", "LSTM", "LSTM", "LSTM", "LSTM"},
              {{{"x", {3, 7, 5}}}, {{"x", {1, 1, 5}}}, {{"x", {0, 3, 5}}}});
  ExpectFused("rnn_masked_zeros", {"LSTM"}, {{{"x", {3, 7, 5}}}});
  ExpectFused("rnn_masked_states", {"GRU", "GRU"},
              {{{"x", {3, 7, 5}}, {"seen", {3, 7}}, {"start", {3, 6}}},
               {{"x", {1, 7, 5}}, {"seen", {1, 7}}, {"start", {1, 6}}}});
}
TEST_F(Recurrent, ChoicesOfAnotherKindStay) {
  ExpectKept([this] { InBody("SelectV2")->mutable_input()->SwapElements(1, 2); }, kNoStep,
             "rnn_masked_zeros");
  const char* const why = "its mask is not that of a layer";
  ExpectKept([this] { InBody("Tile")->set_op("Identity"); }, why, "rnn_masked_zeros");
}
// The result before the first unmasked step is the initial state, not zeros.
TEST_F(Recurrent, MaskWithoutACarriedResultStays) {
  ExpectKept(
      [this] {
        tf::FunctionDef* body = FunctionOf();
        const auto argument = [body](int i) { return body->signature().input_arg(i).name(); };
        const int result = 4, h = 5;
        (*body->mutable_ret())[body->signature().output_arg(result).name()] = argument(result);
        int choice = 0;
        while (InBody("SelectV2", choice)->input(2) != argument(h)) ++choice;
        InBody("TensorListSetItem")->set_input(2, InBody("SelectV2", choice)->name() + ":output:0");
      },
      "its results are not its state", "rnn_masked_zeros");
}
TEST_F(Recurrent, StatefulStays) {
  ExpectKept([] {}, "its initial state is a variable, as in a stateful layer", "rnn_stateful");
}
TEST_F(Recurrent, DoubleStays) {
  ExpectKept([] {}, "it writes its results in another way", "rnn_double");
}
// Swaps the columns of two gates, in the kernel, the recurrent kernel or a bias.
TEST_F(Recurrent, SwappedProductsForEachGateStay) {
  for (const auto& [one, other] : {std::pair(0, 1), std::pair(3, 4), std::pair(6, 7), std::pair(8, 9)}) {
    const auto swap = [&, first = one, second = other] {
      for (int input = 1; input < 3; ++input) {
        std::swap(*InBody("StridedSlice", first)->mutable_input(input),
                  *InBody("StridedSlice", second)->mutable_input(input));
      }
    };
    ExpectKept(swap, kNoStep, "rnn_by_gates");
  }
}
TEST_F(Recurrent, OtherActivationsStay) {
  Load("rnn_activation");
  for (const auto& loop : Fuse()) EXPECT_EQ(loop.kind, "") << loop.node;
}

TEST_F(Recurrent, SwappedGatesStay) {
  ExpectKept([this] { InBody("Tanh")->set_input(0, InBody("Split")->name() + ":output:3"); }, kNoStep);
}
TEST_F(Recurrent, OtherSplitStays) {
  ExpectKept([this] { (*InBody("Split")->mutable_attr())["num_split"].set_i(8); }, kNoStep);
}
TEST_F(Recurrent, TransposedWeightsStay) {
  ExpectKept([this] { (*InBody("MatMul")->mutable_attr())["transpose_b"].set_b(true); }, kNoStep);
}
TEST_F(Recurrent, DifferenceInsteadOfSumStays) {
  ExpectKept([this] { InBody("AddV2", 3)->set_op("Sub"); }, kNoStep);
}
TEST_F(Recurrent, OtherOutputThanStateStays) {
  ExpectKept([this] { InBody("TensorListSetItem")->set_input(2, InBody("Tanh", 1)->name() + ":y:0"); },
             "its results are not its state");
}
TEST_F(Recurrent, OtherOrderOfResultsStays) {
  ExpectKept(
      [this] {
        const std::string length = FunctionOf()->signature().input_arg(1).name();
        InBody("TensorListSetItem")->set_input(1, length);
      },
      "it writes its results in another order");
}
TEST_F(Recurrent, SideEffectsInTheBodyStay) {
  ExpectKept(
      [this] {
        tf::NodeDef* print = FunctionOf()->add_node_def();
        print->set_name("print");
        print->set_op("PrintV2");
      },
      "it has the operation PrintV2");
}
TEST_F(Recurrent, FetchedLoopStays) {
  ExpectKept([this] { kept_ = {Only("While")->name()}; }, "its outputs are fetched");
}
TEST_F(Recurrent, ReadCounterStays) {
  ExpectKept(
      [this] {
        tf::NodeDef* reader = graph_.add_node();
        reader->set_name("reader");
        reader->set_op("Neg");
        reader->add_input(Only("While")->name() + ":2");
        (*reader->mutable_attr())["T"].set_type(tf::DT_INT32);
      },
      "its counter is read");
}
TEST_F(Recurrent, ListReadInAnotherWayStays) {
  ExpectKept([this] { Only("TensorListStack")->set_op("TensorListConcatV2"); },
             "its list of results is not made a tensor");
}
TEST_F(Recurrent, FilledListStays) {
  ExpectKept([this] { Only("TensorListReserve")->set_op("EmptyTensorList"); },
             "its results go to a list that has something in it");
}
TEST_F(Recurrent, CalledFunctionsStay) {
  ExpectKept([this] { InBody("Tanh")->set_op("PartitionedCall"); }, "its body calls a function");
}
TEST_F(Recurrent, WeightsThatChangeInTheLoopStay) {
  // The loop returns another matrix for the recurrent weights, which makes them a state.
  ExpectKept(
      [this] {
        tf::FunctionDef* body = FunctionOf();
        const std::string name = body->signature().output_arg(body->signature().output_arg_size() - 1).name();
        (*body->mutable_ret())[name] = InBody("MatMul")->name() + ":product:0";
      },
      "it carries other values than an LSTM or a GRU");
}
TEST_F(Recurrent, MatrixAsBiasStays) {
  ExpectKept(
      [this] {
        for (tf::NodeDef& node : *graph_.mutable_node()) {
          if (node.op() != "VarHandleOp" || node.name().find("bias") == std::string::npos) continue;
          auto* shape = (*node.mutable_attr())["shape"].mutable_shape();
          shape->add_dim()->set_size(1);
          shape->mutable_dim()->SwapElements(0, 1);
        }
      },
      kNoStep);
}
TEST_F(Recurrent, OnGpuStays) {
  ExpectKept([this] { Only("While")->set_device("/device:GPU:0"); }, "it is not on a CPU");
}
TEST_F(Recurrent, LateStartStays) {
  // `time` does not count from zero.
  ExpectKept(
      [this] {
        tf::NodeDef* start = Find(NodeOf(Only("While")->input(2)));
        (*start->mutable_attr())["value"].mutable_tensor()->clear_int_val();
        (*start->mutable_attr())["value"].mutable_tensor()->add_int_val(1);
      },
      "its condition is not a comparison of its counter");
}
TEST_F(Recurrent, OtherLengthOfResultsStays) {
  ExpectKept(
      [this] {
        tf::NodeDef* count = Find(NodeOf(Only("TensorListReserve")->input(1)));
        (*count->mutable_attr())["value"].mutable_tensor()->set_int_val(0, 8);
      },
      "its list of results has another length");
}
TEST_F(Recurrent, UnknownLengthStays) {
  ExpectKept(
      [this] {
        tf::NodeDef* length = Find(NodeOf(Only("While")->input(1)));
        length->set_op("Placeholder");
        length->clear_input();
        length->clear_attr();
        (*length->mutable_attr())["dtype"].set_type(tf::DT_INT32);
      },
      "how often it runs can't be told");
}
TEST_F(Recurrent, OtherConditionStays) {
  ExpectKept([this] { InBody("Less", 0, "cond")->set_op("LessEqual"); }, "it has the operation LessEqual");
}
TEST_F(Recurrent, GruOfAnotherConstantStays) {
  ExpectKept(
      [this] {
        for (int i = 0; InBody("Const", i) != nullptr; ++i) {
          auto* value = (*InBody("Const", i)->mutable_attr())["value"].mutable_tensor();
          if (value->dtype() == tf::DT_FLOAT) value->set_float_val(0, 2.0F);
        }
      },
      kNoStep, "rnn_gru");
}
TEST_F(Recurrent, GruOfOtherColumnsStays) {
  ExpectKept([this] { (*InBody("StridedSlice", 1)->mutable_attr())["begin_mask"].set_i(3); }, kNoStep,
             "rnn_gru");
}
TEST_F(Recurrent, GruThatKeepsTheOtherPartStays) {
  // (1 - z) * h + z * n
  ExpectKept(
      [this] {
        tf::NodeDef *kept = nullptr, *added = nullptr;
        for (int i = 0; InBody("Mul", i) != nullptr; ++i) {
          tf::NodeDef* product = InBody("Mul", i);
          if (product->input(1).find("Tanh") != std::string::npos) added = product;
          if (product->input(1).find("placeholder") != std::string::npos) kept = product;
        }
        std::swap(*kept->mutable_input(0), *added->mutable_input(0));
      },
      kNoStep, "rnn_gru");
}

}  // namespace
}  // namespace savedmodel::engine
