// SPDX-License-Identifier: Apache-2.0
// RunAsync: what is delivered, in which thread and how often, and the lifetimes of its objects.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "tests/cpp/service_threads.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Int;
using testing::LoadModel;
using testing::Mentions;
using testing::ServiceThreads;
using testing::Tensors;
using testing::Values;

constexpr std::int32_t kForever = std::numeric_limits<std::int32_t>::max();
constexpr auto kSoon = std::chrono::seconds(60);  // a time limit against hangs

struct Outcome {
  Code code{};  // none: success
  std::string what;
  Tensors results;
  std::thread::id thread;
};

// A second delivery throws out of the callback, which ends the process.
std::future<Outcome> Async(const Function& function, Tensors inputs, const RunOptions& options = {}) {
  auto promise = std::make_shared<std::promise<Outcome>>();
  std::future<Outcome> future = promise->get_future();
  function.RunAsync(
      std::move(inputs),
      [promise](const Error* error, Tensors results) {
        Outcome outcome{{}, "", std::move(results), std::this_thread::get_id()};
        if (error != nullptr) {
          outcome.code = error->code();
          outcome.what = error->what();
        }
        promise->set_value(std::move(outcome));
      },
      options);
  return future;
}

TEST(RunAsync, DeliversTheResults) {
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  std::vector<std::future<Outcome>> runs;
  for (int i = 0; i < 100; ++i) {
    runs.push_back(Async(add, {Floats({static_cast<float>(i)}), Floats({1})}));
  }
  for (int i = 0; i < 100; ++i) {
    const Outcome outcome = runs[static_cast<std::size_t>(i)].get();
    EXPECT_EQ(outcome.code, Code{});
    EXPECT_EQ(Values(outcome.results.at(0)), std::vector<float>{static_cast<float>(i + 1)});
    EXPECT_NE(outcome.thread, std::this_thread::get_id());
  }
}

TEST(RunAsync, DeliversMistakesAndTensorFlowsErrors) {
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  const Outcome mistake = Async(add, {Floats({1})}).get();
  EXPECT_EQ(mistake.code, Code::kInvalidArgument);
  EXPECT_TRUE(testing::Has(mistake.what, "takes 2 input tensors, got 1"));
  const Outcome error = Async(add, {Floats({1, 2}), Floats({1, 2, 3})}).get();
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_TRUE(error.results.empty());
  EXPECT_THROW(add.RunAsync({}, nullptr), UsageError);
}

TEST(RunAsync, OnAClosedModelTheCallerIsTold) {
  Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  model.Close();
  const Outcome outcome = Async(add, {Floats({1}), Floats({2})}).get();
  EXPECT_EQ(outcome.code, Code::kFailedPrecondition);
  EXPECT_EQ(outcome.thread, std::this_thread::get_id());
}

TEST(RunAsync, InputsAreHeldUntilTheRunHasEnded) {
  std::atomic<bool> freed{false};
  std::promise<float> sum;
  const Model model = LoadModel("add");
  {
    auto values = std::make_shared<std::vector<float>>(16, 1.5F);
    const float* data = values->data();
    const Tensor x = Tensor::Wrap(DType::kFloat32, {16}, data, [values, &freed]() mutable {
      values.reset();
      freed = true;
    });
    model.function("serving_default").RunAsync({x, x}, [&](const Error*, const Tensors& results) {
      sum.set_value(results.at(0).data<float>()[15]);
    });
  }
  EXPECT_EQ(sum.get_future().get(), 3);
  EXPECT_TRUE(freed);
}

TEST(RunAsync, CanBeCancelled) {
  const Model model = LoadModel("slow");
  RunOptions options;
  options.cancellation = std::make_shared<Cancellation>();
  auto run = Async(model.function("spin"), {Int(kForever)}, options);
  EXPECT_EQ(run.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  options.cancellation->Cancel();
  ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(run.get().code, Code::kCancelled);
}

TEST(RunAsync, CloseWaitsForTheCallbacks) {
  Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  std::atomic<int> done{0};
  for (int i = 0; i < 20; ++i) {
    add.RunAsync({Floats({1}), Floats({2})}, [&](const Error* error, const Tensors& results) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      if (error == nullptr && Values(results.at(0)) == std::vector<float>{3}) ++done;
    });
  }
  model.Close();
  EXPECT_EQ(done, 20);
}

// The job, or the callback, is the last to hold the model.
TEST(RunAsync, TheModelMayGoMeanwhile) {
  for (const bool in_callback : {false, true}) {
    std::promise<float> sum;
    {
      const Model model = LoadModel("add");
      const std::shared_ptr<Model> kept = in_callback ? std::make_shared<Model>(model) : nullptr;
      model.function("serving_default")
          .RunAsync({Floats({1}), Floats({2})}, [&sum, kept](const Error*, const Tensors& results) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            sum.set_value(results.at(0).data<float>()[0]);
          });
    }
    EXPECT_EQ(sum.get_future().get(), 3);
  }
}

TEST(RunAsync, ACallbackMayStartTheNext) {
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  std::promise<float> last;
  std::function<void(int, const Tensor&)> next = [&](int left, const Tensor& x) {
    add.RunAsync({x, Floats({1})}, [&, left](const Error*, const Tensors& results) {
      if (left == 0) return last.set_value(results.at(0).data<float>()[0]);
      next(left - 1, results.at(0));
    });
  };
  next(99, Floats({0}));
  EXPECT_EQ(last.get_future().get(), 100);
}

TEST(RunAsync, ACallbackCannotCloseItsModel) {
  Model model = LoadModel("add");
  Model other = LoadModel("add");
  std::promise<Code> code;
  model.function("serving_default").RunAsync({Floats({1}), Floats({2})}, [&](const Error*, const Tensors&) {
    other.Close();
    code.set_value(testing::ThrownBy([&] { model.Close(); }).code());
  });
  EXPECT_EQ(code.get_future().get(), Code::kFailedPrecondition);
  EXPECT_FALSE(model.closed());
}

TEST(RunAsync, UsesTheThreadsOfTheService) {
  LoadOptions options;
  const auto threads = std::make_shared<ServiceThreads>(2);
  options.thread_pool = threads;
  const Model model = LoadModel("add", options);
  const Outcome outcome = Async(model.function("serving_default"), {Floats({1}), Floats({2})}).get();
  EXPECT_EQ(Values(outcome.results.at(0)), std::vector<float>{3});
  EXPECT_TRUE(threads->Owns(outcome.thread));
}

// Callbacks that block all of the shared threads until it is destroyed.
class Jam {
 public:
  Jam() : model_(LoadModel("add")) {
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    const int threads = CPU_COUNT(&set);
    for (int i = 0; i < threads; ++i) {
      model_.function("serving_default")
          .RunAsync({Floats({1}), Floats({2})}, [this](const Error*, const Tensors&) {
            ++inside_;
            go_.wait();
          });
    }
    while (inside_ < threads) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~Jam() { Clear(); }
  void Clear() {
    if (model_.closed()) return;
    promise_.set_value();
    model_.Close();
  }

 private:
  std::promise<void> promise_;
  const std::shared_future<void> go_ = promise_.get_future().share();
  std::atomic<int> inside_{0};
  Model model_;
};

TEST(RunAsync, ADeadlineCountsFromTheCall) {
  const Jam jam;
  Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  RunOptions options;
  options.timeout = std::chrono::milliseconds(50);
  auto run = Async(add, {Floats({1}), Floats({2})}, options);
  ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);  // though all threads are still busy
  const Outcome outcome = run.get();
  EXPECT_EQ(outcome.code, Code::kDeadlineExceeded);
  EXPECT_TRUE(testing::Has(outcome.what, "took longer than 0.05"));
  model.Close();  // does not wait for a queue
  EXPECT_EQ(add.Counters().errors.at(static_cast<std::size_t>(Code::kDeadlineExceeded)), 1U);
}

TEST(RunAsync, TheLoadsTimeoutCountsFromTheCall) {
  const Jam jam;
  LoadOptions options;
  options.run.timeout = 0.05;
  const Model model = LoadModel("add", options);
  auto run = Async(model.function("serving_default"), {Floats({1}), Floats({2})});
  ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(run.get().code, Code::kDeadlineExceeded);
}

TEST(RunAsync, CanBeCancelledWhileItWaits) {
  const Jam jam;
  const Model model = LoadModel("add");
  RunOptions options;
  options.cancellation = std::make_shared<Cancellation>();
  auto run = Async(model.function("serving_default"), {Floats({1}), Floats({2})}, options);
  EXPECT_EQ(run.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  options.cancellation->Cancel();
  ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(run.get().code, Code::kCancelled);
}

TEST(RunAsync, ARunThatTakesTooLong) {
  const Model model = LoadModel("slow");
  RunOptions options;
  options.timeout = 0.05;
  auto run = Async(model.function("spin"), {Int(kForever)}, options);
  ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
  const Outcome outcome = run.get();
  EXPECT_EQ(outcome.code, Code::kDeadlineExceeded);
  EXPECT_TRUE(testing::Has(outcome.what, "took longer than 0.05"));
}

TEST(RunAsync, TheQueueOfAModelIsBounded) {
  Jam jam;
  LoadOptions options;
  options.max_queue = 2;
  const Model model = LoadModel("add", options);
  const Function add = model.function("serving_default");
  const Tensors inputs{Floats({1}), Floats({2})};
  auto first = Async(add, inputs);
  auto second = Async(add, inputs);
  const Outcome third = Async(add, inputs).get();
  EXPECT_EQ(third.code, Code::kResourceExhausted);
  EXPECT_EQ(third.thread, std::this_thread::get_id());
  const Model other = LoadModel("add");
  auto elsewhere = Async(other.function("serving_default"), inputs);
  jam.Clear();
  for (auto* run : {&first, &second, &elsewhere}) {
    ASSERT_EQ(run->wait_for(kSoon), std::future_status::ready);
    EXPECT_EQ(run->get().code, Code{});
  }
  EXPECT_EQ(Async(add, inputs).get().code, Code{});  // there is room again
}

// Calls of a model that have ended before that of another one, which was queued behind all of them.
int EndedBefore(const Model& crowd, const Model& single) {
  Jam jam;
  std::atomic<int> done{0};
  for (int i = 0; i < 1000; ++i) {
    crowd.function("serving_default").RunAsync({Floats({1}), Floats({2})}, [&](const Error*, const Tensors&) {
      ++done;
    });
  }
  std::promise<int> before;
  single.function("serving_default").RunAsync({Floats({1}), Floats({2})}, [&](const Error*, const Tensors&) {
    before.set_value(done);
  });
  jam.Clear();
  const int result = before.get_future().get();
  while (done < 1000) std::this_thread::yield();
  return result;
}

TEST(RunAsync, ModelsTakeTurns) {
  const Model crowd = LoadModel("add");
  const Model single = LoadModel("add");
  int least = 1000;
  // The thread with the single call may lose its core meanwhile.
  for (int i = 0; i < 20 && least >= 900; ++i) least = std::min(least, EndedBefore(crowd, single));
  EXPECT_LT(least, 900);
}

TEST(RunAsync, ByName) {
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  std::promise<float> sum;
  add.RunAsync({{"x", Floats({1})}, {"y", Floats({2})}}, [&](const Error*, const Function::Named& results) {
    sum.set_value(results.at("z").data<float>()[0]);
  });
  EXPECT_EQ(sum.get_future().get(), 3);
  std::string what;
  add.RunAsync({{"x", Floats({1})}},
               [&](const Error* error, const Function::Named&) { what = error->what(); });
  EXPECT_TRUE(testing::Has(what, "missing input 'y'"));
  RunOptions late;
  late.timeout = -1;
  Code code{};
  add.RunAsync(
      {{"x", Floats({1})}, {"y", Floats({2})}},
      [&](const Error* error, const Function::Named&) { code = error->code(); }, late);
  EXPECT_EQ(code, Code::kDeadlineExceeded);
}

TEST(RunAsync, APoolThatDropsItsTasksOwesAnAnswer) {
  class Ended : public ThreadPool {
   public:
    explicit Ended(bool throws) : throws_(throws) {}
    void Schedule(std::function<void()> task) override {
      task = nullptr;
      if (throws_) throw std::runtime_error("ended");
    }
    int NumThreads() const override { return 1; }
    int CurrentThreadId() const override { return -1; }

   private:
    bool throws_;
  };
  for (const bool throws : {false, true}) {
    LoadOptions options;
    options.thread_pool = std::make_shared<Ended>(throws);
    Model model = LoadModel("add", options);
    auto run = Async(model.function("serving_default"), {Floats({1}), Floats({2})});
    ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
    EXPECT_EQ(run.get().code, Code::kUnavailable);
    model.Close();
  }
}

}  // namespace
}  // namespace savedmodel
