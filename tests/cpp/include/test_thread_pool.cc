// SPDX-License-Identifier: Apache-2.0
// A service's own threads for the work inside kernels.
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "savedmodel/thread_pool.h"
#include "tests/cpp/service_threads.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::LoadModel;
using testing::Numbers;
using testing::ServiceThreads;
using testing::Tensors;
using testing::Values;

constexpr auto kSoon = std::chrono::seconds(120);  // a time limit against hangs

const Tensors& Wide() {
  static const auto* const inputs = new Tensors{Floats(Numbers(512 * 64), {512, 64})};
  return *inputs;
}

void ExpectNear(const std::vector<float>& values, const std::vector<float>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], expected[i], 1e-4);
}

std::vector<float> RunWide(const LoadOptions& options) {
  return Values(LoadModel("wide", options).function("serving_default").Run(Wide()).at(0));
}

class Pool : public ::testing::TestWithParam<Optimize> {
 protected:
  LoadOptions Options(const std::shared_ptr<ServiceThreads>& threads) const {
    LoadOptions options;
    options.optimize = GetParam();
    options.thread_pool = threads;
    return options;
  }
};

TEST_P(Pool, DoesTheWorkOfKernels) {
  const auto threads = std::make_shared<ServiceThreads>(3);
  ExpectNear(RunWide(Options(threads)), RunWide({}));
  EXPECT_GT(threads->scheduled(), 0);
}

TEST_P(Pool, OfOneThreadIsEnough) {
  ExpectNear(RunWide(Options(std::make_shared<ServiceThreads>(1))), RunWide({}));
}

// More runs than threads, in the threads that their kernels would wait for.
TEST_P(Pool, IsNotWaitedForByItsOwnThreads) {
  const auto expected = RunWide({});
  for (const bool in_session : {false, true}) {
    SCOPED_TRACE(in_session ? "a session's threads" : "the caller's thread");
    const auto threads = std::make_shared<ServiceThreads>(2);
    LoadOptions options = Options(threads);
    if (in_session) options.session.inter_op_threads = 2;
    Model model = LoadModel("wide", options);
    const Function function = model.function("serving_default");
    std::atomic<int> right{0};
    std::promise<void> all;
    for (int i = 0; i < 12; ++i) {
      function.RunAsync(Wide(), [&](const Error* error, const Tensors& results) {
        if (error == nullptr) ExpectNear(Values(results.at(0)), expected);
        if (error == nullptr && ++right == 12) all.set_value();
      });
    }
    std::vector<std::future<void>> callers;
    for (int i = 0; i < 2; ++i) {
      callers.push_back(std::async(std::launch::async, [&] {
        for (int run = 0; run < 5; ++run) ExpectNear(Values(function.Run(Wide()).at(0)), expected);
      }));
    }
    ASSERT_EQ(all.get_future().wait_for(kSoon), std::future_status::ready);
    for (auto& caller : callers) ASSERT_EQ(caller.wait_for(kSoon), std::future_status::ready);
    model.Close();
  }
}

TEST_P(Pool, TheModelMayBeTheLastToHoldIt) {
  std::promise<void> done;
  {
    const Model model = LoadModel("wide", Options(std::make_shared<ServiceThreads>(2)));
    model.function("serving_default").RunAsync(Wide(), [&](const Error* error, const Tensors&) {
      EXPECT_EQ(error, nullptr);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      done.set_value();
    });
  }
  ASSERT_EQ(done.get_future().wait_for(kSoon), std::future_status::ready);
}

INSTANTIATE_TEST_SUITE_P(Graphs, Pool, ::testing::Values(Optimize::kNone, Optimize::kDefault),
                         [](const auto& test) {
                           return test.param == Optimize::kNone ? "AsIs" : "Optimized";
                         });

// A pool that ends may drop tasks: the run that waits for its kernels does their work.
class Dropping : public ServiceThreads {
 public:
  enum class How { kDestroys, kThrows, kEveryOther, kLater };
  explicit Dropping(How how) : ServiceThreads(2), how_(how) {}
  void Schedule(std::function<void()> task) override {
    if (how_ == How::kThrows) throw std::runtime_error("ended");
    if (how_ == How::kDestroys || (how_ == How::kEveryOther && count_++ % 2 == 0)) {
      const std::lock_guard<std::mutex> lock(mutex_);  // of the pool's own
      task = nullptr;
      return;
    }
    if (how_ == How::kLater) {
      ServiceThreads::Schedule([task = std::move(task)]() mutable { task = nullptr; });
    } else {
      ServiceThreads::Schedule(std::move(task));
    }
  }

 private:
  const How how_;
  std::atomic<int> count_{0};
  std::mutex mutex_;
};

TEST(ThreadPool, MayDropTheWorkOfKernels) {
  const auto expected = RunWide({});
  for (const auto how : {Dropping::How::kDestroys, Dropping::How::kThrows, Dropping::How::kEveryOther,
                         Dropping::How::kLater}) {
    for (const Optimize optimize : {Optimize::kNone, Optimize::kDefault}) {
      LoadOptions options;
      options.optimize = optimize;
      options.thread_pool = std::make_shared<Dropping>(how);
      auto run = std::async(std::launch::async, [&] { return RunWide(options); });
      ASSERT_EQ(run.wait_for(kSoon), std::future_status::ready);
      ExpectNear(run.get(), expected);
    }
  }
}

TEST(ThreadPool, WithoutThreadsIsAMistake) {
  LoadOptions options;
  options.thread_pool = std::make_shared<ServiceThreads>(0);
  EXPECT_THROW(LoadModel("add", options), UsageError);
}

}  // namespace
}  // namespace savedmodel
