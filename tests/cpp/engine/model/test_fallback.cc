// SPDX-License-Identifier: Apache-2.0
// An optimized graph that fails where the graph as it was loaded runs: which one runs when, and the report.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/model/fallback.h"

namespace savedmodel::engine {
namespace {

// Fails with this code, or works if there is none.
class Fake : public GraphExecutor {
 public:
  Fake(std::optional<Code> refusal, bool repeatable) : refusal_(refusal) { set_repeatable(repeatable); }
  const char* name() const override { return "fake"; }
  const tensorflow::Device& device() const override { throw std::logic_error("it has none"); }
  void Run(const std::vector<tensorflow::Tensor>&, std::vector<tensorflow::Tensor>*,
           tensorflow::CancellationManager*) const override {
    ++runs;
    if (refusal_) throw Error(*refusal_, std::string("refused by ") + CodeName(*refusal_) + "\nat a node");
  }
  mutable std::atomic<int> runs{0};

 private:
  std::optional<Code> refusal_;
};

class FallbackTest : public ::testing::Test {
 protected:
  // The code of a run's error, if there is one.
  std::optional<Code> Run(Fallback* fallback) {
    const GraphExecutor* executor = fallback->current();
    try {
      try {
        executor->Run({}, nullptr, nullptr);
      } catch (const Error& error) {
        const auto run = [](const GraphExecutor* plain) { plain->Run({}, nullptr, nullptr); };
        if (!fallback->RunPlain(*executor, error, for_good_, run)) throw;
      }
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  }
  Fallback Make(const Fake& optimized, const Fake& plain, bool is_optimized = true) {
    OptimizationReport report;
    report.function = "signature 's'";
    report.optimized = is_optimized;
    report.executor = "sequential";
    report.variables_frozen = 2;
    return Fallback(
        &optimized, report,
        [this, &plain](OptimizationReport* of) {
          of->executor = plain.name();
          ++made_;
          return &plain;
        },
        convolves_);
  }
  std::atomic<int> made_{0};
  bool convolves_ = false;
  bool for_good_ = true;
};

TEST_F(FallbackTest, OnceAndForGood) {
  const Fake optimized(Code::kUnimplemented, true), plain(std::nullopt, true);
  Fallback fallback = Make(optimized, plain);
  EXPECT_TRUE(fallback.report().optimized);
  EXPECT_TRUE(fallback.is_frozen(fallback.current()));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Run(&fallback), std::nullopt);
  EXPECT_EQ(optimized.runs, 1);
  EXPECT_EQ(plain.runs, 3);
  EXPECT_EQ(made_, 1);
  EXPECT_FALSE(fallback.is_frozen(fallback.current()));
  const OptimizationReport report = fallback.report();
  EXPECT_FALSE(report.optimized);
  EXPECT_EQ(report.function, "signature 's'");
  EXPECT_EQ(report.executor, "fake");
  EXPECT_EQ(report.variables_frozen, 0);
  EXPECT_EQ(
      report.why_not,
      "the optimized graph failed on a call that the graph as loaded can run: refused by UNIMPLEMENTED");
}

TEST_F(FallbackTest, WhatBothRefuseStaysAnError) {
  const Fake optimized(Code::kInternal, true), plain(Code::kInvalidArgument, true);
  Fallback fallback = Make(optimized, plain);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Run(&fallback), Code::kInvalidArgument);
  EXPECT_EQ(fallback.current(), &optimized);
  EXPECT_TRUE(fallback.report().optimized);
  EXPECT_EQ(made_, 1);
}

TEST_F(FallbackTest, WhatWasStoppedIsNotRunAgain) {
  for (const Code code : {Code::kCancelled, Code::kDeadlineExceeded, Code::kResourceExhausted}) {
    const Fake optimized(code, true), plain(std::nullopt, true);
    Fallback fallback = Make(optimized, plain);
    EXPECT_EQ(Run(&fallback), code);
    EXPECT_EQ(plain.runs, 0);
  }
}

TEST_F(FallbackTest, NoChangeIsMadeTwice) {
  for (const Code code : {Code::kInvalidArgument, Code::kUnimplemented}) {
    const Fake optimized(code, false), plain(std::nullopt, false);
    Fallback fallback = Make(optimized, plain);
    EXPECT_EQ(Run(&fallback), code);
    EXPECT_EQ(plain.runs, 0);
    // An op without any kernel is not tried again.
    EXPECT_EQ(fallback.current() == &plain, code == Code::kUnimplemented);
  }
}

TEST_F(FallbackTest, WhatIsNotOptimizedHasNoSession) {
  const Fake first(Code::kUnimplemented, true), plain(std::nullopt, true);
  OptimizationReport report;
  Fallback fallback(
      &first, report, [](OptimizationReport*) { return nullptr; }, false);
  EXPECT_EQ(Run(&fallback), Code::kUnimplemented);
  EXPECT_EQ(fallback.current(), &first);
}

TEST_F(FallbackTest, WhatIsNotOptimizedRunsWithoutTensorFlowsOptimizer) {
  const Fake first(Code::kInvalidArgument, true), plain(std::nullopt, true);
  Fallback fallback = Make(first, plain, false);
  EXPECT_EQ(Run(&fallback), std::nullopt);
  EXPECT_EQ(fallback.current(), &plain);
  EXPECT_EQ(fallback.report().why_not,
            "TensorFlow's optimized graph failed on a call that the graph as loaded can run: refused by "
            "INVALID_ARGUMENT");
}

TEST_F(FallbackTest, EmptyFeedsThatAreConvolvedRunOnTheGraphAsItWasLoaded) {
  const std::vector<tensorflow::Tensor> empty{tensorflow::Tensor(tensorflow::DT_FLOAT, {0, 3})};
  const std::vector<tensorflow::Tensor> full{tensorflow::Tensor(tensorflow::DT_FLOAT, {2, 3})};
  for (const bool convolves : {false, true}) {
    for (const bool is_optimized : {false, true}) {
      for (const bool repeatable : {false, true}) {
        const Fake first(std::nullopt, repeatable), plain(std::nullopt, true);
        convolves_ = convolves;
        made_ = 0;
        Fallback fallback = Make(first, plain, is_optimized);
        EXPECT_EQ(&fallback.For(full, first), &first);
        const bool changes = convolves && is_optimized && repeatable;
        for (int i = 0; i < 2; ++i) EXPECT_EQ(&fallback.For(empty, first), changes ? &plain : &first);
        EXPECT_EQ(made_, changes ? 1 : 0);
        EXPECT_EQ(fallback.current(), &first);
        EXPECT_EQ(&fallback.For(full, first), &first);
      }
    }
  }
}

TEST_F(FallbackTest, ForOneRun) {
  for_good_ = false;
  const Fake first(Code::kInvalidArgument, true), plain(std::nullopt, true);
  Fallback fallback = Make(first, plain);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Run(&fallback), std::nullopt);
  EXPECT_EQ(first.runs, 2);
  EXPECT_EQ(plain.runs, 2);
  EXPECT_EQ(fallback.current(), &first);
  EXPECT_TRUE(fallback.report().optimized);
}

TEST_F(FallbackTest, SessionThatCanNotBeMadeLeavesTheError) {
  const Fake optimized(Code::kInternal, true);
  OptimizationReport report;
  report.optimized = true;
  Fallback fallback(
      &optimized, report,
      [](OptimizationReport*) -> const GraphExecutor* {
        throw Error(Code::kFailedPrecondition, "the model has changed");
      },
      false);
  EXPECT_EQ(Run(&fallback), Code::kInternal);
}

TEST_F(FallbackTest, ManyThreads) {
  const Fake optimized(Code::kInternal, true), plain(std::nullopt, true);
  Fallback fallback = Make(optimized, plain);
  std::atomic<int> errors{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 100; ++k) errors += Run(&fallback) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(plain.runs, 800);
  EXPECT_LE(optimized.runs, 8);
  EXPECT_EQ(made_, 1);
}

}  // namespace
}  // namespace savedmodel::engine
