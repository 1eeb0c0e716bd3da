// SPDX-License-Identifier: Apache-2.0
// Many threads on one model; closing and cancelling during runs; the model's own threads.
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Int;
using testing::LoadModel;
using testing::Mentions;
using testing::Numbers;
using testing::Tensors;
using testing::ThrownBy;
using testing::Values;

constexpr std::size_t kThreads = 8;
constexpr std::int32_t kForever = std::numeric_limits<std::int32_t>::max();
constexpr auto kSoon = std::chrono::seconds(60);  // a time limit against hangs

void InThreads(const std::function<void(std::size_t)>& body) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

// Runs `spin` for `steps`; `started` becomes true shortly before TensorFlow gets it.
std::future<float> Spin(const Function& function, std::int32_t steps, std::atomic<bool>& started) {
  return std::async(std::launch::async, [function, steps, &started] {
    const Tensors inputs{Int(steps)};
    started = true;
    return Values(function.Run(inputs).at(0)).at(0);
  });
}

void WaitUntilRunning(const std::atomic<bool>& started) {
  while (!started) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

TEST(Threads, ShareAModel) {
  const Model model = LoadModel("mlp");
  const Function function = model.function("serving_default");
  std::vector<std::vector<float>> expected(kThreads);
  for (std::size_t i = 0; i < kThreads; ++i) {
    expected[i] = Values(function.Run(Tensors{Floats(Numbers(64, i), {1, 64})}).at(0));
  }
  std::atomic<int> wrong{0};
  InThreads([&](std::size_t i) {
    const Tensors inputs{Floats(Numbers(64, i), {1, 64})};
    for (int run = 0; run < 200; ++run) {
      if (Values(function.Run(inputs).at(0)) != expected[i]) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, BindAndRunAtOnce) {
  const Model model = LoadModel("multi");
  const std::vector<std::string> sum{"sum"};
  std::atomic<int> wrong{0};
  InThreads([&](std::size_t i) {
    for (int run = 0; run < 20; ++run) {
      const auto x = static_cast<float>(i);
      const Tensors two{Floats({x}), Floats({1})};
      if (Values(model.function("sum_prod", sum).Run(two).at(0)).at(0) != x + 1) ++wrong;
      if (Values(model.function("double").Run(Tensors{two[0]}).at(0)).at(0) != 2 * x) ++wrong;
      const std::string name = model.signatures().at("double").outputs.at(0).name;
      const std::string feed = model.signatures().at("double").inputs.at(0).name;
      const std::vector<std::string> fetches(1 + (i + static_cast<std::size_t>(run)) % 5, name);
      if (Values(model.function(fetches, {feed}).Run(Tensors{two[0]}).at(0)).at(0) != 2 * x) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, LoadAndCloseAtOnce) {
  std::atomic<int> wrong{0};
  InThreads([&](std::size_t i) {
    for (int run = 0; run < 3; ++run) {
      Model model = LoadModel(i % 2 == 0 ? "mlp" : "wide");
      const Tensor y = model.function("serving_default").Run(Tensors{Floats(Numbers(64), {1, 64})}).at(0);
      model.Close();
      if (y.num_elements() != (i % 2 == 0 ? 10U : 512U)) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, CountEveryCall) {
  const Model model = LoadModel("stateful");
  const Function incr = model.function("incr");
  InThreads([&](std::size_t) {
    for (int run = 0; run < 50; ++run) incr.Run(Tensors{Floats({1}, {})});
  });
  EXPECT_EQ(Values(model.ReadVariable("count")), std::vector<float>{kThreads * 50.0F});
}

TEST(Threads, VariablesAreReadWhileTheyAreWritten) {
  const Model model = LoadModel("stateful");
  const Function store = model.function("store");
  std::atomic<int> torn{0};
  InThreads([&](std::size_t i) {
    for (int run = 0; run < 100; ++run) {
      const auto value = static_cast<float>(i * 100) + static_cast<float>(run);
      if (i % 2 == 0) store.Run(Tensors{Floats({value, value, value, value})});
      const Tensor read = model.ReadVariable("stored");
      const std::vector<float> once = Values(read);
      for (const float number : once) torn += number != once[0];
      torn += Values(read) != once;
    }
  });
  EXPECT_EQ(torn, 0);
}

TEST(IntraOpThreads, GiveTheSameResult) {
  const Tensors inputs{Floats(Numbers(32 * 64), {32, 64})};
  const auto expected = Values(LoadModel("wide").function("serving_default").Run(inputs).at(0));
  for (const int threads : {1, 2, 7}) {
    LoadOptions options;
    options.threads = threads;
    const Model model = LoadModel("wide", options);
    const auto values = Values(model.function("serving_default").Run(inputs).at(0));
    ASSERT_EQ(values.size(), expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], expected[i], 1e-4) << threads;
  }
}

TEST(InterOpThreads, GiveTheSameResult) {
  const Tensors inputs{Floats(Numbers(64), {1, 64})};
  LoadOptions options = testing::AsLoaded();
  const auto expected = Values(LoadModel("wide", options).function("serving_default").Run(inputs).at(0));
  options.session.inter_op_threads = 3;
  const Model model = LoadModel("wide", options);
  EXPECT_EQ(Values(model.function("serving_default").Run(inputs).at(0)), expected);
}

TEST(Close, WaitsForTheRunsThatAreGoingOn) {
  Model model = LoadModel("slow");
  const Function function = model.function("spin");
  const float expected = Values(function.Run(Tensors{Int(5000)}).at(0)).at(0);
  std::atomic<bool> started{false};
  std::vector<std::future<float>> runs;
  for (int i = 0; i < 3; ++i) runs.push_back(Spin(function, 5000, started));
  WaitUntilRunning(started);
  model.Close();
  int finished = 0;
  for (auto& run : runs) {
    ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
    try {
      EXPECT_EQ(run.get(), expected);
      ++finished;
    } catch (const Error& error) {  // this run came too late
      EXPECT_EQ(error.code(), Code::kFailedPrecondition);
    }
  }
  EXPECT_GE(finished, 1);
}

TEST(Close, EndsEveryCallAfterIt) {
  Model model = LoadModel("weights");
  const Model copy = model;
  const Function get = model.function("get");
  const Tensor weight = get.Run(Tensors{}).at(0);
  model.Close();
  EXPECT_TRUE(model.closed());
  EXPECT_TRUE(copy.closed());
  model.Close();  // again: nothing to do
  const auto code = [](const std::function<void()>& call) {
    const Error error = ThrownBy(call);
    EXPECT_TRUE(Mentions(error, {"closed", "weights"}));
    return error.code();
  };
  EXPECT_EQ(code([&] { get.Run(Tensors{}); }), Code::kFailedPrecondition);
  EXPECT_EQ(code([&] { get.Run(Tensors{}, RunOptions()); }), Code::kFailedPrecondition);
  EXPECT_EQ(code([&] { (void)copy.function("get"); }), Code::kFailedPrecondition);
  EXPECT_EQ(code([&] { (void)copy.function("apply"); }), Code::kFailedPrecondition);
  EXPECT_EQ(code([&] { (void)copy.ReadVariable("w"); }), Code::kFailedPrecondition);
  EXPECT_EQ(code([&] { (void)copy.devices(); }), Code::kFailedPrecondition);
  EXPECT_EQ(code([&] { (void)copy.Placement(); }), Code::kFailedPrecondition);
  // Members that need no session still work.
  EXPECT_EQ(copy.signatures().size(), 2U);
  EXPECT_EQ(copy.variables().count("w"), 1U);
  EXPECT_EQ(get.outputs().at(0).key, "w");
  EXPECT_EQ(weight.num_elements(), 20U);
}

TEST(Close, FromManyThreadsWhileOthersRun) {
  for (int round = 0; round < 5; ++round) {
    Model model = LoadModel("add");
    const Function function = model.function("serving_default");
    std::atomic<int> runs{0};
    std::atomic<int> wrong{0};
    InThreads([&](std::size_t i) {
      if (i < 2) {
        while (runs < 50) std::this_thread::yield();
        model.Close();
        return;
      }
      try {
        for (;;) {
          if (Values(function.Run(Tensors{Floats({1}), Floats({2})}).at(0)).at(0) != 3) ++wrong;
          ++runs;
        }
      } catch (const Error& error) {
        if (error.code() != Code::kFailedPrecondition) ++wrong;
      }
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Close, AFunctionOutlivesItsModel) {
  Function function;
  {
    const Model model = LoadModel("add");
    function = model.function("serving_default");
  }
  EXPECT_EQ(Values(function.Run(Tensors{Floats({1}), Floats({2})}).at(0)), std::vector<float>{3});
}

TEST(Cancel, StopsTheRunsThatAreGoingOn) {
  for (const bool own_threads : {false, true}) {
    SCOPED_TRACE(own_threads ? "inter-op threads" : "the caller's thread");
    LoadOptions options;
    if (own_threads) options.session.inter_op_threads = 2;
    Model model = LoadModel("slow", options);
    std::atomic<bool> started{false};
    std::future<float> run = Spin(model.function("spin"), kForever, started);
    WaitUntilRunning(started);
    EXPECT_TRUE(model.Cancel(60));
    ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
    EXPECT_EQ(ThrownBy([&] { run.get(); }).code(), Code::kCancelled);
    EXPECT_TRUE(model.closed());
    EXPECT_EQ(ThrownBy([&] { (void)model.function("spin"); }).code(), Code::kFailedPrecondition);
    model.Close();
    EXPECT_TRUE(model.Cancel(0));
  }
}

TEST(Cancel, WithoutRunsReturnsAtOnce) {
  Model model = LoadModel("add");
  EXPECT_TRUE(model.Cancel(0));
  EXPECT_TRUE(model.closed());
}

TEST(Timeout, EndsOneRunOfSeveral) {
  const Model model = LoadModel("slow");
  const Function function = model.function("spin");
  const float expected = Values(function.Run(Tensors{Int(2000)}).at(0)).at(0);
  std::atomic<bool> started{false};
  std::future<float> other = Spin(function, 2000, started);
  RunOptions options;
  options.timeout = 0.02;
  EXPECT_EQ(ThrownBy([&] { function.Run(Tensors{Int(kForever)}, options); }).code(), Code::kDeadlineExceeded);
  EXPECT_EQ(other.get(), expected);
}

}  // namespace
}  // namespace savedmodel
