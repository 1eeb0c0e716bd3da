// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cmath>
#include <future>
#include <limits>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/counters.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Int;
using testing::LoadModel;
using testing::Tensors;
using testing::ThrownBy;

std::uint64_t InAll(const RunCounters& counters) {
  return std::accumulate(counters.latency.begin(), counters.latency.end(), std::uint64_t{0});
}

TEST(RunCounters, BoundsOfBucketsGrow) {
  EXPECT_DOUBLE_EQ(RunCounters::UpperBound(0), 128e-9);
  EXPECT_DOUBLE_EQ(RunCounters::UpperBound(1), 160e-9);
  EXPECT_DOUBLE_EQ(RunCounters::UpperBound(4), 256e-9);
  for (std::size_t i = 1; i < RunCounters::kBuckets; ++i) {
    EXPECT_GT(RunCounters::UpperBound(i), RunCounters::UpperBound(i - 1));
  }
  EXPECT_GT(RunCounters::UpperBound(RunCounters::kBuckets - 2), 900);
  EXPECT_EQ(RunCounters::UpperBound(RunCounters::kBuckets - 1), std::numeric_limits<double>::infinity());
}

TEST(RunCounters, Quantiles) {
  RunCounters counters;
  EXPECT_EQ(counters.Quantile(0.5), 0);
  counters.successes = 100;
  counters.latency[10] = 90;
  counters.latency[50] = 10;
  const auto within = [&](double fraction, std::size_t bucket) {
    const double value = counters.Quantile(fraction);
    EXPECT_GT(value, RunCounters::UpperBound(bucket - 1)) << fraction;
    EXPECT_LE(value, RunCounters::UpperBound(bucket)) << fraction;
  };
  within(0, 10);
  within(0.5, 10);
  within(0.9, 10);
  within(0.91, 50);
  within(1, 50);
  within(2, 50);
}

TEST(Counters, CountCallsErrorsAndTimes) {
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  EXPECT_EQ(add.Counters().calls(), 0U);
  for (int i = 0; i < 10; ++i) add.Run(Tensors{Floats({1}), Floats({2})});
  EXPECT_THROW(add.Run(Tensors{Floats({1})}), UsageError);
  EXPECT_THROW(add.Run(Tensors{Floats({1, 2}), Floats({1, 2, 3})}), Error);
  RunOptions options;
  options.cancellation = std::make_shared<Cancellation>();
  options.cancellation->Cancel();
  EXPECT_THROW(add.Run(Tensors{Floats({1}), Floats({2})}, options), Error);
  const RunCounters counters = add.Counters();
  EXPECT_EQ(counters.function, "signature 'serving_default'");
  EXPECT_EQ(counters.outputs, std::vector<std::string>{"z"});
  EXPECT_EQ(counters.successes, 10U);
  EXPECT_EQ(counters.calls(), 13U);
  EXPECT_EQ(counters.errors[static_cast<std::size_t>(Code::kInvalidArgument)], 2U);
  EXPECT_EQ(counters.errors[static_cast<std::size_t>(Code::kCancelled)], 1U);
  EXPECT_EQ(InAll(counters), 10U);
  ASSERT_EQ(counters.failures.size(), 2U);
  for (const auto& [code, calls] : {std::pair(Code::kInvalidArgument, 2U), std::pair(Code::kCancelled, 1U)}) {
    const RunCounters::Failures& failed = counters.failures.at(code);
    EXPECT_EQ(std::accumulate(failed.latency.begin(), failed.latency.end(), std::uint64_t{0}), calls);
    EXPECT_GT(failed.total_seconds, 0);
    EXPECT_LT(failed.total_seconds, 60);
  }
  EXPECT_GT(counters.total_seconds, 0);
  EXPECT_LT(counters.total_seconds, 60);
}

TEST(Counters, TimesOfFailures) {
  const Model model = LoadModel("slow");
  const Function spin = model.function("spin");
  RunOptions options;
  options.timeout = Seconds(0.1);
  EXPECT_EQ(ThrownBy([&] { spin.Run(Tensors{Int(100000000)}, options); }).code(), Code::kDeadlineExceeded);
  const RunCounters counters = spin.Counters();
  const RunCounters::Failures& failed = counters.failures.at(Code::kDeadlineExceeded);
  EXPECT_GE(failed.total_seconds, 0.1);
  for (std::size_t i = 0; i < RunCounters::kBuckets && RunCounters::UpperBound(i) < 0.1; ++i) {
    EXPECT_EQ(failed.latency[i], 0U);
  }
  EXPECT_EQ(counters.total_seconds, 0);
}

// Compares with a clock of the system for the same calls.
TEST(Counters, TimesAreSeconds) {
  const Model model = LoadModel("slow");
  const Function spin = model.function("spin");
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) spin.Run(Tensors{Int(3000)});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const RunCounters counters = spin.Counters();
  EXPECT_LE(counters.total_seconds, seconds.count() * 1.01);
  EXPECT_GE(counters.total_seconds, seconds.count() * 0.9);
  EXPECT_LE(counters.Quantile(0), counters.total_seconds);
  EXPECT_GE(counters.Quantile(1) * 5, counters.total_seconds);
}

TEST(Counters, AreOfAllCopiesAndThreads) {
  const Model model = LoadModel("multi");
  std::vector<std::future<void>> threads;
  for (int i = 0; i < 8; ++i) {
    threads.push_back(std::async(std::launch::async, [&] {
      const Function function = model.function("sum_prod", {"sum"});
      for (int run = 0; run < 100; ++run) function.Run(Tensors{Floats({1}), Floats({2})});
    }));
  }
  for (auto& thread : threads) thread.get();
  EXPECT_EQ(model.function("sum_prod", {"sum"}).Counters().successes, 800U);
  EXPECT_EQ(model.function("sum_prod").Counters().calls(), 0U);
  const std::vector<RunCounters> all = model.Counters();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].calls() + all[1].calls(), 800U);
}

TEST(Counters, CountWhatRunsLater) {
  Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  for (int i = 0; i < 10; ++i) add.RunAsync({Floats({1}), Floats({2})}, [](const Error*, const Tensors&) {});
  model.Close();
  EXPECT_EQ(add.Counters().successes, 10U);
  EXPECT_TRUE(model.Counters().empty());
}

TEST(Counters, MayBeLeftOut) {
  LoadOptions options;
  options.counters = false;
  const Model model = LoadModel("add", options);
  const Function add = model.function("serving_default");
  add.Run(Tensors{Floats({1}), Floats({2})});
  EXPECT_THROW(add.Run(Tensors{Floats({1})}), UsageError);
  EXPECT_EQ(add.Counters().calls(), 0U);
}

}  // namespace
}  // namespace savedmodel
