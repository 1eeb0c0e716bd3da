// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/cancellation.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Int;
using testing::LoadModel;
using testing::Tensors;
using testing::ThrownBy;
using testing::Values;

constexpr std::int32_t kForever = std::numeric_limits<std::int32_t>::max();
constexpr auto kSoon = std::chrono::seconds(60);  // a time limit against hangs

RunOptions With(const std::shared_ptr<Cancellation>& cancellation) {
  RunOptions options;
  options.cancellation = cancellation;
  return options;
}

std::future<void> Start(const std::function<void()>& run) { return std::async(std::launch::async, run); }

TEST(Cancellation, CallsEachActionOnce) {
  Cancellation cancellation;
  std::vector<int> called;
  cancellation.OnCancel([&] { called.push_back(1); });
  const auto second = cancellation.OnCancel([&] { called.push_back(2); });
  cancellation.Forget(second);
  cancellation.Forget(second);
  EXPECT_FALSE(cancellation.cancelled());
  cancellation.Cancel();
  cancellation.Cancel();
  EXPECT_TRUE(cancellation.cancelled());
  EXPECT_EQ(called, std::vector<int>{1});
  cancellation.Forget(cancellation.OnCancel([&] { called.push_back(3); }));
  EXPECT_EQ(called, (std::vector<int>{1, 3}));
}

TEST(Cancellation, NoActionRunsAfterItWasForgotten) {
  for (int round = 0; round < 200; ++round) {
    Cancellation cancellation;
    auto alive = std::make_unique<std::atomic<int>>(0);
    const auto id = cancellation.OnCancel([&] { ++*alive; });
    auto cancelled = Start([&] { cancellation.Cancel(); });
    cancellation.Forget(id);
    alive.reset();  // a sanitizer detects a late action
    cancelled.get();
  }
}

TEST(Cancellation, BeforeTheRunNothingIsRun) {
  const Model model = LoadModel("stateful");
  const Function incr = model.function("incr");
  const auto cancellation = std::make_shared<Cancellation>();
  cancellation->Cancel();
  for (int i = 0; i < 2; ++i) {
    const Error error = ThrownBy([&] { incr.Run(Tensors{Floats({1}, {})}, With(cancellation)); });
    EXPECT_EQ(error.code(), Code::kCancelled);
  }
  EXPECT_EQ(Values(model.ReadVariable("count")), std::vector<float>{0});
}

TEST(Cancellation, AfterTheRunNothingHappens) {
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  const auto cancellation = std::make_shared<Cancellation>();
  const Tensors results = add.Run(Tensors{Floats({1}), Floats({2})}, With(cancellation));
  cancellation->Cancel();
  EXPECT_EQ(Values(results.at(0)), std::vector<float>{3});
  EXPECT_EQ(Values(add.Run(Tensors{Floats({1}), Floats({2})}).at(0)), std::vector<float>{3});
}

TEST(Cancellation, StopsTheRunsThatAreGoingOnAndNoOthers) {
  const Model model = LoadModel("slow");
  const Function spin = model.function("spin");
  const auto cancellation = std::make_shared<Cancellation>();
  const auto other = std::make_shared<Cancellation>();
  std::vector<std::future<void>> runs;
  for (int i = 0; i < 3; ++i) {
    runs.push_back(Start([&] { spin.Run(Tensors{Int(kForever)}, With(cancellation)); }));
  }
  auto left_alone = Start([&] { spin.Run(Tensors{Int(kForever)}, With(other)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  cancellation->Cancel();
  for (auto& run : runs) {
    ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
    EXPECT_EQ(ThrownBy([&] { run.get(); }).code(), Code::kCancelled);
  }
  EXPECT_EQ(left_alone.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_NO_THROW(spin.Run(Tensors{Int(3)}));
  other->Cancel();
  EXPECT_EQ(ThrownBy([&] { left_alone.get(); }).code(), Code::kCancelled);
}

TEST(Cancellation, AtAnyMoment) {
  const Model model = LoadModel("mlp");
  const Function function = model.function("serving_default");
  const Tensors inputs{Floats(testing::Numbers(64), {1, 64})};
  const auto expected = Values(function.Run(inputs).at(0));
  int finished = 0;
  for (int round = 0; round < 300; ++round) {
    const auto cancellation = std::make_shared<Cancellation>();
    std::atomic<bool> ready{false};
    auto cancelled = Start([&] {
      while (!ready) std::this_thread::yield();
      cancellation->Cancel();
    });
    ready = true;
    try {
      EXPECT_EQ(Values(function.Run(inputs, With(cancellation)).at(0)), expected);
      ++finished;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kCancelled);
    }
    cancelled.get();
  }
  EXPECT_GT(finished, 0);
}

TEST(Cancellation, WithATimeoutWhicheverIsFirst) {
  const Model model = LoadModel("slow");
  const Function spin = model.function("spin");
  RunOptions options = With(std::make_shared<Cancellation>());
  options.timeout = 0.02;
  EXPECT_EQ(ThrownBy([&] { spin.Run(Tensors{Int(kForever)}, options); }).code(), Code::kDeadlineExceeded);
  options.timeout = 600;
  auto run = Start([&] { spin.Run(Tensors{Int(kForever)}, options); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  options.cancellation->Cancel();
  ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(ThrownBy([&] { run.get(); }).code(), Code::kCancelled);
}

TEST(Cancellation, ClosingTheModelIsSomethingElse) {
  Model model = LoadModel("slow");
  const Function spin = model.function("spin");
  const auto cancellation = std::make_shared<Cancellation>();
  auto run = Start([&] { spin.Run(Tensors{Int(kForever)}, With(cancellation)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(model.Cancel(60));
  EXPECT_EQ(ThrownBy([&] { run.get(); }).code(), Code::kCancelled);
  EXPECT_FALSE(cancellation->cancelled());
}

TEST(Cancellation, IsNotOfALoad) {
  LoadOptions options;
  options.run.cancellation = std::make_shared<Cancellation>();
  EXPECT_THROW(LoadModel("add", options), UsageError);
}

TEST(Timeouts, ManyAtOnceEachInItsTime) {
  const Model model = LoadModel("slow");
  const Function spin = model.function("spin");
  std::vector<std::future<void>> runs;
  for (int i = 0; i < 8; ++i) {
    runs.push_back(Start([&spin, i] {
      RunOptions options;
      options.timeout = i % 2 == 0 ? 0.03 : 300;
      const auto run = [&] { spin.Run(Tensors{Int(i % 2 == 0 ? kForever : 3)}, options); };
      if (i % 2 != 0) return run();
      EXPECT_EQ(ThrownBy(run).code(), Code::kDeadlineExceeded);
    }));
  }
  for (auto& run : runs) {
    ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
    EXPECT_NO_THROW(run.get());
  }
}

}  // namespace
}  // namespace savedmodel
