// SPDX-License-Identifier: Apache-2.0
// Requests joined to batches: their results against those of single calls, and what goes wrong with some.
#include <atomic>
#include <chrono>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/batcher.h"
#include "savedmodel/model.h"
#include "tests/cpp/service_threads.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::LoadModel;
using testing::Mentions;
using testing::MistakeIn;
using testing::Numbers;
using testing::ServiceThreads;
using testing::Tensors;
using testing::ThrownBy;
using testing::Values;

constexpr auto kSoon = std::chrono::seconds(60);  // a time limit against hangs

struct Outcome {
  Code code{};  // none: success
  std::string what;
  Tensors results;
};

std::pair<Batcher::Request, std::future<Outcome>> NewRequest(Tensors inputs, RunOptions options = {}) {
  auto promise = std::make_shared<std::promise<Outcome>>();
  std::future<Outcome> future = promise->get_future();
  auto done = [promise](const Error* error, Tensors results) {
    promise->set_value({error == nullptr ? Code{} : error->code(), error == nullptr ? "" : error->what(),
                        std::move(results)});
  };
  return {Batcher::Request{std::move(inputs), std::move(done), std::move(options)}, std::move(future)};
}

// All of them enter the queue before the first one runs.
std::vector<Outcome> RunTogether(const Batcher& batcher, std::vector<Tensors> requests) {
  std::vector<Batcher::Request> given;
  std::vector<std::future<Outcome>> futures;
  for (Tensors& inputs : requests) {
    auto [request, future] = NewRequest(std::move(inputs));
    given.push_back(std::move(request));
    futures.push_back(std::move(future));
  }
  batcher.RunAsync(std::move(given));
  std::vector<Outcome> outcomes;
  for (auto& future : futures) {
    EXPECT_EQ(future.wait_for(kSoon), std::future_status::ready);
    outcomes.push_back(future.get());
  }
  return outcomes;
}

// Waits for requests, so that what comes within a second makes one batch.
BatchOptions Patient(std::size_t rows) {
  BatchOptions options;
  options.max_batch_size = rows;
  options.max_delay = Seconds(1.0);
  options.max_concurrent = 1;
  options.warm_up = false;
  return options;
}

Tensor Ints(const std::vector<std::int32_t>& values, const Shape& shape) {
  return Tensor::Copy(DType::kInt32, shape, values.data());
}
Tensor Ints(const std::vector<std::int32_t>& values) {
  return Ints(values, {static_cast<std::int64_t>(values.size())});
}

TEST(Batcher, EachRequestHasTheRowsOfASingleCall) {
  const Model model = LoadModel("batching");
  const Function dense = model.function("serving_default");
  const Batcher batcher = Batcher::Start(dense, Patient(12));
  std::vector<Tensors> requests;
  for (std::int64_t rows : {1, 3, 2, 5, 1}) {
    requests.push_back({Floats(Numbers(static_cast<std::size_t>(4 * rows), requests.size()), {rows, 4})});
  }
  const std::vector<Outcome> outcomes = RunTogether(batcher, requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Results expected = dense.Run(requests[i]);
    ASSERT_EQ(outcomes[i].code, Code{}) << outcomes[i].what;
    for (std::size_t k = 0; k < expected.size(); ++k) {
      EXPECT_EQ(outcomes[i].results.at(k).shape(), expected[k].shape());
      const std::vector<float> wanted = Values(expected[k]), got = Values(outcomes[i].results[k]);
      for (std::size_t j = 0; j < wanted.size(); ++j) EXPECT_NEAR(got.at(j), wanted[j], 1e-6);
    }
  }
  const BatchStatistics statistics = batcher.Statistics();
  EXPECT_EQ(statistics.requests, 5U);
  EXPECT_EQ(statistics.batches, 1U);
  EXPECT_EQ(statistics.rows, 12U);
  EXPECT_EQ(statistics.sizes[4], 1U);
}

TEST(Batcher, ThreadsShareRunsAndGetTheirOwnRows) {
  const Model model = LoadModel("batching");
  BatchOptions options;
  options.max_concurrent = 1;
  const Batcher batcher = Batcher::Start(model.function("sums"), options);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const auto rows = static_cast<std::size_t>(1 + (t + i) % 3);
        const std::vector<float> a(rows, static_cast<float>(t)), b(rows, static_cast<float>(i));
        const Tensor sum = batcher.Run({Floats(a), Floats(b)})[0];
        wrong += Values(sum) == std::vector<float>(rows, static_cast<float>(t + i)) ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  const BatchStatistics statistics = batcher.Statistics();
  EXPECT_EQ(statistics.requests, 4000U);
  EXPECT_EQ(statistics.failed + statistics.refused, 0U);
  EXPECT_EQ(statistics.waiting, 0U);
}

TEST(Batcher, ResultsAreViewsThatLiveOn) {
  Tensors kept;
  {
    const Model model = LoadModel("batching");
    const Batcher batcher = Batcher::Start(model.function("sums"), Patient(3));
    const auto outcomes =
        RunTogether(batcher, {{Floats({1}), Floats({2})}, {Floats({3, 4}), Floats({5, 6})}});
    kept = {outcomes[0].results.at(0), outcomes[1].results.at(0)};
    EXPECT_EQ(static_cast<const char*>(kept[0].data()) + sizeof(float), kept[1].data());
    EXPECT_TRUE(kept[0].writable());
  }
  EXPECT_EQ(Values(kept[0]), (std::vector<float>{3}));
  EXPECT_EQ(Values(kept[1]), (std::vector<float>{8, 10}));
}

TEST(Batcher, StringsAreJoinedAndParted) {
  const Model model = LoadModel("batching");
  const Batcher batcher = Batcher::Start(model.function("words"), Patient(3));
  const auto outcomes = RunTogether(batcher, {{Tensor::Strings({2}, std::vector<std::string>{"ab", ""})},
                                              {Tensor::Strings({1}, std::vector<std::string>{"xyz"})}});
  ASSERT_EQ(outcomes[1].code, Code{}) << outcomes[1].what;
  EXPECT_EQ(outcomes[0].results.at(1).string(0), "AB");
  EXPECT_EQ(outcomes[0].results.at(1).string(1), "");
  EXPECT_EQ(outcomes[1].results.at(1).string(0), "XYZ");
  EXPECT_EQ(Values<std::int32_t>(outcomes[1].results.at(0)), std::vector<std::int32_t>{3});
}

TEST(Batcher, ALargerRequestIsRunInPartsAndPutTogether) {
  const Model model = LoadModel("batching");
  BatchOptions options;
  options.max_batch_size = 4;
  for (const char* signature : {"sums", "words"}) {
    const Function function = model.function(signature);
    const Batcher batcher = Batcher::Start(function, options);
    std::vector<std::string> words;
    for (int i = 0; i < 11; ++i) words.push_back("word " + std::to_string(i));
    const Tensors inputs = signature == std::string("sums")
                               ? Tensors{Floats(Numbers(11, 1)), Floats(Numbers(11, 2))}
                               : Tensors{Tensor::Strings({11}, words)};
    const Results got = batcher.Run(inputs), expected = function.Run(inputs);
    for (std::size_t k = 0; k < expected.size(); ++k) {
      ASSERT_EQ(got[k].shape(), expected[k].shape());
      if (got[k].dtype() == DType::kFloat32) {
        EXPECT_EQ(Values(got[k]), Values(expected[k]));
      }
      for (std::size_t i = 0; got[k].dtype() == DType::kString && i < 11; ++i) {
        EXPECT_EQ(got[k].string(i), expected[k].string(i));
      }
    }
    EXPECT_EQ(batcher.Statistics().batches, 3U);
  }
}

TEST(Batcher, OnlyTheRequestAtFaultFails) {
  const Model model = LoadModel("batching");
  const Batcher batcher = Batcher::Start(model.function("picky"), Patient(7));
  const auto outcomes =
      RunTogether(batcher, {{Ints({1})}, {Ints({2, 3})}, {Ints({0, 9})}, {Ints({3})}, {Ints({1})}});
  EXPECT_EQ(Values(outcomes[0].results.at(0)), std::vector<float>{1});
  EXPECT_EQ(Values(outcomes[1].results.at(0)), (std::vector<float>{4, 9}));
  EXPECT_EQ(outcomes[2].code, Code::kInvalidArgument);
  EXPECT_TRUE(testing::Has(outcomes[2].what, "9"));
  EXPECT_EQ(Values(outcomes[3].results.at(0)), std::vector<float>{9});
  EXPECT_EQ(Values(outcomes[4].results.at(0)), std::vector<float>{1});
  EXPECT_EQ(batcher.Statistics().failed, 1U);
  EXPECT_GT(batcher.Statistics().retries, 1U);
}

TEST(Batcher, WrongShapesAreRefusedAtTheDoor) {
  const Model model = LoadModel("batching");
  const Batcher dense = Batcher::Start(model.function("serving_default"));
  EXPECT_TRUE(Mentions(MistakeIn([&] {
                         (void)dense.Run({Floats({1, 2, 3}, {1, 3})});
                       }),
                       {"input 'x'", "expected float32 [?, 4], got float32 [1, 3]"}));
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)dense.Run(Span<const Tensor>()); }), {"takes 1 input"}));
  const Batcher sums = Batcher::Start(model.function("sums"));
  EXPECT_TRUE(Mentions(MistakeIn([&] {
                         (void)sums.Run({Floats({1, 2}), Floats({1})});
                       }),
                       {"'a' and 'b' have 2 and 1 rows"}));
  EXPECT_EQ(sums.Statistics().refused, 1U);
  EXPECT_EQ(sums.Statistics().requests, 1U);
  RunOptions traced;
  traced.trace = true;
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)sums.Run({Floats({1}), Floats({1})}, traced); }), {"no trace"}));
}

TEST(Batcher, NoRowsRunAlone) {
  const Model model = LoadModel("batching");
  const Batcher batcher = Batcher::Start(model.function("sums"), Patient(2));
  const auto outcomes = RunTogether(
      batcher, {{Floats({}), Floats({})}, {Floats({1}), Floats({2})}, {Floats({2}), Floats({2})}});
  EXPECT_EQ(outcomes[0].results.at(0).shape(), Shape({0}));
  EXPECT_EQ(Values(outcomes[2].results.at(0)), std::vector<float>{4});
}

TEST(Batcher, SequencesArePaddedAndCutBack) {
  const Model model = LoadModel("batching");
  const Function tokens = model.function("tokens");
  BatchOptions options = Patient(3);
  options.pad_value["ids"] = testing::Int(0);
  const Batcher batcher = Batcher::Start(tokens, options);
  const auto outcomes = RunTogether(batcher, {{Ints({1, 2}, {1, 2})}, {Ints({3, 4, 5, 6, 7, 8}, {2, 3})}});
  EXPECT_EQ(batcher.Statistics().batches, 1U);
  EXPECT_EQ(Values<std::int32_t>(outcomes[0].results.at(0)), std::vector<std::int32_t>{2});
  EXPECT_EQ(outcomes[0].results.at(1).shape(), Shape({1, 2}));
  EXPECT_EQ(Values<std::int32_t>(outcomes[0].results.at(1)), (std::vector<std::int32_t>{2, 4}));
  EXPECT_EQ(Values<std::int32_t>(outcomes[1].results.at(1)),
            (std::vector<std::int32_t>{6, 8, 10, 12, 14, 16}));
  options.pad_value["ids"] = Floats({0}, {});
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)Batcher::Start(tokens, options); }), {"pad_value", "int32 []"}));
}

TEST(Batcher, RequestsOfOtherShapesHaveBatchesOfTheirOwn) {
  const Model model = LoadModel("batching");
  const Batcher batcher = Batcher::Start(model.function("tokens"), Patient(2));
  const auto outcomes =
      RunTogether(batcher, {{Ints({1, 2}, {1, 2})}, {Ints({3, 4, 5}, {1, 3})}, {Ints({6, 0}, {1, 2})}});
  EXPECT_EQ(Values<std::int32_t>(outcomes[0].results.at(1)), (std::vector<std::int32_t>{2, 4}));
  EXPECT_EQ(Values<std::int32_t>(outcomes[1].results.at(1)), (std::vector<std::int32_t>{6, 8, 10}));
  EXPECT_EQ(Values<std::int32_t>(outcomes[2].results.at(0)), (std::vector<std::int32_t>{1}));
  EXPECT_EQ(batcher.Statistics().batches, 2U);
}

TEST(Batcher, RowsMayLieOnAnotherAxis) {
  const Model model = LoadModel("batching");
  BatchOptions options = Patient(3);
  options.batch_axis = {{"x", 1}, {"y", 1}};
  const Batcher batcher = Batcher::Start(model.function("columns"), options);
  const auto outcomes = RunTogether(batcher, {{Floats({1, 2, 3, 4}, {2, 2})}, {Floats({5, 6}, {2, 1})}});
  EXPECT_EQ(batcher.Statistics().batches, 1U);
  EXPECT_EQ(Values(outcomes[0].results.at(0)), (std::vector<float>{1, 2, 6, 8}));
  EXPECT_EQ(Values(outcomes[1].results.at(0)), (std::vector<float>{5, 12}));
}

TEST(Batcher, AFixedNumberOfRowsIsFilledUp) {
  const Model model = LoadModel("batching");
  const Batcher batcher = Batcher::Start(model.function("fixed"));
  EXPECT_EQ(Values(batcher.Run({Floats({1, 1}, {1, 2})})[0]), (std::vector<float>{1, 1}));
  const Tensor six = batcher.Run({Floats(std::vector<float>(12, 0), {6, 2})})[0];
  EXPECT_EQ(Values(six), (std::vector<float>{0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1}));
  EXPECT_EQ(batcher.Statistics().padded_rows, 5U);
}

TEST(Batcher, BatchesHaveTheSizesAskedFor) {
  const Model model = LoadModel("batching");
  BatchOptions options;
  options.pad_to = {8, 2};
  const Batcher batcher = Batcher::Start(model.function("sums"), options);
  EXPECT_EQ(Values(batcher.Run({Floats({1, 2, 3}), Floats({1, 1, 1})})[0]), (std::vector<float>{2, 3, 4}));
  EXPECT_EQ(batcher.Statistics().padded_rows, 5U);
  EXPECT_EQ(batcher.Statistics().seconds.size(), 2U);
  options.max_batch_size = 5;
  EXPECT_THROW((void)Batcher::Start(model.function("sums"), options), UsageError);
}

TEST(Batcher, FunctionsWithoutRowsAreRefused) {
  const Model model = LoadModel("batching");
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)Batcher::Start(model.function("total")); }),
                       {"output 'total'", "no axis 0"}));
  // The signature does not say so, but a run shows it.
  EXPECT_TRUE(Mentions(ThrownBy([&] { (void)Batcher::Start(model.function("mean")); }),
                       {"output 'mean' of a batch of 2 rows has the shape [1]", "leave it out"}));
  const Batcher y = Batcher::Start(model.function("mean", {"y"}));
  EXPECT_EQ(Values(y.Run({Floats({1, 2, 3, 4}, {1, 4})})[0]), (std::vector<float>{2, 3, 4, 5}));
  BatchOptions options;
  options.batch_axis["none"] = 1;
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)Batcher::Start(model.function("sums"), options); }),
                       {"no input or output 'none'"}));
  EXPECT_TRUE(Mentions(ThrownBy([&] { (void)Batcher::Start(LoadModel("slow").function("spin")); }),
                       {"input 'n'", "int32 [] has no axis 0"}));
}

TEST(Batcher, DeadlinesAndCancellationsEndRequestsInTheQueue) {
  const Model model = LoadModel("batching");
  BatchOptions options = Patient(100);
  options.max_delay = Seconds(1000.0);
  Batcher batcher = Batcher::Start(model.function("sums"), options);
  RunOptions late, stopped;
  late.timeout = Seconds(0.02);
  stopped.cancellation = std::make_shared<Cancellation>();
  auto [first, late_one] = NewRequest({Floats({1}), Floats({2})}, late);
  auto [second, stopped_one] = NewRequest({Floats({1}), Floats({2})}, stopped);
  auto [third, other] = NewRequest({Floats({1}), Floats({2})});
  std::vector<Batcher::Request> requests;
  for (Batcher::Request* one : {&first, &second, &third}) requests.push_back(std::move(*one));
  batcher.RunAsync(std::move(requests));
  ASSERT_EQ(late_one.wait_for(kSoon), std::future_status::ready);
  const Outcome missed = late_one.get();
  EXPECT_EQ(missed.code, Code::kDeadlineExceeded);
  EXPECT_TRUE(testing::Has(missed.what, "took longer than 0.02"));
  EXPECT_EQ(stopped_one.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  stopped.cancellation->Cancel();
  ASSERT_EQ(stopped_one.wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(stopped_one.get().code, Code::kCancelled);
  const Error sync = ThrownBy([&] { (void)batcher.Run({Floats({1}), Floats({2})}, late); });
  EXPECT_EQ(sync.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(batcher.Statistics().waiting, 1U);
  batcher.Close();  // ends the hold, and answers the one that waits
  ASSERT_EQ(other.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_EQ(Values(other.get().results.at(0)), std::vector<float>{3});
  EXPECT_EQ(ThrownBy([&] {
              (void)batcher.Run({Floats({1}), Floats({2})});
            }).code(),
            Code::kFailedPrecondition);
}

TEST(Batcher, TheQueueIsBounded) {
  const Model model = LoadModel("batching");
  BatchOptions options = Patient(100);
  options.max_delay = Seconds(1000.0);
  options.max_queue = 2;
  Batcher batcher = Batcher::Start(model.function("sums"), options);
  std::vector<std::future<Outcome>> waiting;
  for (int i = 0; i < 2; ++i) {
    auto [request, future] = NewRequest({Floats({1}), Floats({2})});
    batcher.RunAsync(std::move(request.inputs), std::move(request.done));
    waiting.push_back(std::move(future));
  }
  const Error full = ThrownBy([&] { (void)batcher.Run({Floats({1}), Floats({2})}); });
  EXPECT_EQ(full.code(), Code::kResourceExhausted);
  EXPECT_TRUE(Mentions(full, {"2 requests wait already (max_queue)"}));
  batcher.Close();
  for (auto& future : waiting) EXPECT_EQ(future.get().code, Code{});
}

TEST(Batcher, AClosedModelAnswersWhatIsInFlight) {
  Model model = LoadModel("batching");
  BatchOptions options = Patient(100);
  options.max_delay = Seconds(0.2);
  const Batcher batcher = Batcher::Start(model.function("sums"), options);
  auto [request, future] = NewRequest({Floats({1}), Floats({2})});
  batcher.RunAsync(std::move(request.inputs), std::move(request.done));
  model.Close();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_EQ(Values(future.get().results.at(0)), std::vector<float>{3});
  EXPECT_EQ(ThrownBy([&] {
              (void)batcher.Run({Floats({1}), Floats({2})});
            }).code(),
            Code::kFailedPrecondition);
}

TEST(Batcher, CallbacksCantCloseWhatWaitsForThem) {
  Model model = LoadModel("batching");
  Batcher batcher = Batcher::Start(model.function("sums"));
  std::promise<std::vector<Code>> codes;
  batcher.RunAsync({Floats({1}), Floats({2})}, [&](const Error*, const Tensors&) {
    codes.set_value({ThrownBy([&] { batcher.Close(); }).code(), ThrownBy([&] { model.Close(); }).code()});
  });
  EXPECT_EQ(codes.get_future().get(),
            (std::vector<Code>{Code::kFailedPrecondition, Code::kFailedPrecondition}));
}

TEST(Batcher, RunsInAServicesThreadsAndTellsOfDroppedTasks) {
  LoadOptions load;
  load.thread_pool = std::make_shared<ServiceThreads>(2);
  {
    const Model model = LoadModel("batching", load);
    const Batcher batcher = Batcher::Start(model.function("sums"));
    EXPECT_EQ(Values(RunTogether(batcher, {{Floats({1}), Floats({2})}})[0].results.at(0)),
              std::vector<float>{3});
  }
  struct Dropping : ServiceThreads {
    using ServiceThreads::ServiceThreads;
    void Schedule(std::function<void()> task) override { task = nullptr; }
  };
  load.thread_pool = std::make_shared<Dropping>(1);
  const Model model = LoadModel("batching", load);
  const Batcher batcher = Batcher::Start(model.function("sums"));
  EXPECT_EQ(RunTogether(batcher, {{Floats({1}), Floats({2})}})[0].code, Code::kUnavailable);
  EXPECT_EQ(Values(batcher.Run({Floats({1}), Floats({2})})[0]), std::vector<float>{3});
}

TEST(Batcher, AnEventLoopRunsWhatIsKnownToBeQuick) {
  const Model model = LoadModel("batching");
  const Batcher batcher = Batcher::Start(model.function("sums"));
  for (const double here : {10.0, 0.0}) {
    std::vector<Batcher::Request> requests;
    std::promise<std::thread::id> thread;
    requests.push_back({{Floats({1}), Floats({2})},
                        [&](const Error*, const Tensors&) { thread.set_value(std::this_thread::get_id()); },
                        {}});
    batcher.RunAsync(std::move(requests), here);
    EXPECT_EQ(thread.get_future().get() == std::this_thread::get_id(), here > 0);
  }
}

TEST(Batcher, MixedLoadWithErrorsDeadlinesAndCancellations) {
  const Model model = LoadModel("batching");
  BatchOptions options;
  options.max_batch_size = 16;
  const Batcher batcher = Batcher::Start(model.function("picky"), options);
  std::atomic<int> wrong{0}, answered{0};
  std::vector<std::thread> threads;
  constexpr int kRounds = 400;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        const std::int32_t value = (t + i) % 5;  // 4 is beyond the table
        const auto check = [&wrong, &answered, value](const Error* error, const Tensors& results) {
          ++answered;
          if (error != nullptr) {
            const bool expected = error->code() == Code::kCancelled ||
                                  error->code() == Code::kDeadlineExceeded ||
                                  (error->code() == Code::kInvalidArgument && value == 4);
            if (!expected) ++wrong;
          } else if (value == 4 ||
                     Values(results.at(0)) != std::vector<float>{static_cast<float>(value * value)}) {
            ++wrong;
          }
        };
        RunOptions run;
        if (i % 7 == 0) run.timeout = Seconds(1e-4);
        if (i % 3 == 0) run.cancellation = std::make_shared<Cancellation>();
        if (t % 2 == 0) {
          batcher.RunAsync({Ints({value})}, check, run);
        } else {
          try {
            check(nullptr, batcher.Run({Ints({value})}, run));
          } catch (const Error& error) {
            check(&error, {});
          }
        }
        if (run.cancellation) run.cancellation->Cancel();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Batcher closing = batcher;
  closing.Close();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(answered, 6 * kRounds);
}

TEST(Batcher, ACallbackMayWaitForAnotherRequest) {
  const Model model = LoadModel("batching");
  BatchOptions options;
  options.max_concurrent = 1;
  options.warm_up = false;
  options.pad_to = {4};
  const Batcher batcher = Batcher::Start(model.function("picky"), options);
  for (const std::int32_t first : {1, 9}) {  // the second one fails
    std::promise<float> nested;
    batcher.RunAsync({Ints({first})}, [&](const Error*, const Tensors&) {
      nested.set_value(Values(batcher.Run({Ints({3})})[0]).at(0));
    });
    auto answer = nested.get_future();
    ASSERT_EQ(answer.wait_for(kSoon), std::future_status::ready);
    EXPECT_EQ(answer.get(), 9);
  }
}

TEST(Batcher, PartsOfARequestThatFailLetItsInputsGoLast) {
  const Model model = LoadModel("batching");
  BatchOptions options;
  options.max_batch_size = 1 << 16;
  options.max_concurrent = 2;
  const Batcher batcher = Batcher::Start(model.function("picky"), options);
  for (int round = 0; round < 20; ++round) {
    auto ids = std::make_unique<std::vector<std::int32_t>>(1 << 18, 1);
    (*ids)[0] = 9;
    const Tensor lent = Tensor::Wrap(DType::kInt32, {1 << 18}, ids->data(), nullptr);
    EXPECT_EQ(ThrownBy([&] { (void)batcher.Run({lent}); }).code(), Code::kInvalidArgument);
    ids = nullptr;
  }
}

TEST(Batcher, ALoneRequestThatCantBeJoinedIsNotHeld) {
  const Model model = LoadModel("batching");
  BatchOptions options = Patient(4);
  options.max_delay = Seconds(1000.0);
  const Batcher batcher = Batcher::Start(model.function("sums"), options);
  const std::vector<float> five(5, 1);
  EXPECT_EQ(Values(batcher.Run({Floats(five), Floats(five)})[0]), std::vector<float>(5, 2));
  EXPECT_EQ(batcher.Run({Floats({}), Floats({})})[0].shape(), Shape({0}));
}

TEST(Batcher, HeldRequestsOutliveTheBatcherAndLeaveThePoolFree) {
  const Model model = LoadModel("batching");
  const Function sums = model.function("sums");
  BatchOptions options = Patient(100);
  options.max_delay = Seconds(0.5);
  std::vector<std::future<Outcome>> held;
  for (int i = 0; i < 8; ++i) {  // more than the pool has threads
    auto [request, future] = NewRequest({Floats({1}), Floats({2})});
    const Batcher batcher = Batcher::Start(sums, options);
    batcher.RunAsync(std::move(request.inputs), std::move(request.done));
    held.push_back(std::move(future));
  }
  std::promise<void> other;
  sums.RunAsync({Floats({1}), Floats({2})}, [&](const Error*, const Tensors&) { other.set_value(); });
  ASSERT_EQ(other.get_future().wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(held.back().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  for (auto& future : held) {
    ASSERT_EQ(future.wait_for(kSoon), std::future_status::ready);
    EXPECT_EQ(Values(future.get().results.at(0)), std::vector<float>{3});
  }
}

TEST(Batcher, ShortDeadlinesOfManyRequests) {
  const Model model = LoadModel("batching");
  BatchOptions options = Patient(1 << 20);
  options.max_delay = Seconds(1000.0);
  const Batcher batcher = Batcher::Start(model.function("sums"), options);
  std::vector<Batcher::Request> requests;
  std::vector<std::future<Outcome>> futures;
  RunOptions soon;
  soon.timeout = Seconds(1e-4);
  for (int i = 0; i < 2000; ++i) {
    auto [request, future] = NewRequest({Floats({1}), Floats({2})}, soon);
    requests.push_back(std::move(request));
    futures.push_back(std::move(future));
  }
  batcher.RunAsync(std::move(requests));
  for (auto& future : futures) {
    ASSERT_EQ(future.wait_for(kSoon), std::future_status::ready);
    EXPECT_EQ(future.get().code, Code::kDeadlineExceeded);
  }
}

TEST(Batcher, ASampleNeedsARow) {
  const Model model = LoadModel("batching");
  BatchOptions options;
  options.sample = {Tensor::Strings({0}, std::vector<std::string>())};
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)Batcher::Start(model.function("words"), options); }),
                       {"the sample has no rows"}));
  EXPECT_TRUE(Mentions(MistakeIn([&] {
                         (void)Batcher::Start(model.function("fixed")).Run({Floats({}, {0, 2})});
                       }),
                       {"computes 4 rows, got none"}));
}

TEST(Batcher, EmptyHandles) {
  Batcher empty;
  EXPECT_FALSE(empty);
  EXPECT_EQ(ThrownBy([&] { (void)empty.Statistics(); }).code(), Code::kFailedPrecondition);
  EXPECT_EQ(ThrownBy([&] { (void)Batcher::Start(Function()); }).code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace savedmodel
