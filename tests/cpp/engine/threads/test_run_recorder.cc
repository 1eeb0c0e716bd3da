// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "engine/threads/fork_join.h"
#include "engine/threads/run_recorder.h"

namespace savedmodel::engine {
namespace {

const std::string kFirst = "first", kSecond = "second", kOp = "Op";

TEST(RunRecorder, KernelsFollowEachOtherWithoutGaps) {
  EXPECT_EQ(RunRecorder::OfThread(), nullptr);
  {
    RunRecorder recorder;
    EXPECT_EQ(RunRecorder::OfThread(), &recorder);
    recorder.Begin(kFirst, kOp);
    recorder.End(kFirst, kOp);
    recorder.Begin(kSecond, kOp);
    recorder.End(kSecond, kOp);
    ASSERT_EQ(recorder.events().size(), 2U);
    const RunRecorder::Event &first = recorder.events()[0], &second = recorder.events()[1];
    EXPECT_EQ(*first.node + " " + *second.node, "first second");
    EXPECT_EQ(first.begin_ns, recorder.begin_ns());
    EXPECT_EQ(first.end_ns, second.begin_ns);
    EXPECT_LE(second.begin_ns, second.end_ns);
    EXPECT_EQ(first.thread, second.thread);
    EXPECT_FALSE(first.part);
  }
  EXPECT_EQ(RunRecorder::OfThread(), nullptr);
}

TEST(RunRecorder, AStartForgetsWhatFailed) {
  RunRecorder recorder;
  recorder.Begin(kFirst, kOp);
  recorder.End(kFirst, kOp);
  recorder.Start();
  recorder.Begin(kSecond, kOp);
  recorder.End(kSecond, kOp);
  ASSERT_EQ(recorder.events().size(), 1U);
  EXPECT_EQ(*recorder.events()[0].node, "second");
}

TEST(RunRecorder, AnotherThreadsTaskIsAPartOfTheKernel) {
  RunRecorder recorder;
  const std::string kept = recorder.Keep("kept");
  EXPECT_EQ(kept, "kept");
  recorder.Begin(kFirst, kOp);
  const RunRecorder *in_task = nullptr;
  const RunRecorder::Task task = recorder.Wrap([&in_task] { in_task = RunRecorder::OfThread(); });
  task();  // in this thread: the kernel's own time
  EXPECT_EQ(in_task, &recorder);
  in_task = nullptr;
  std::thread([&] {
    task();
    EXPECT_EQ(RunRecorder::OfThread(), nullptr);
  }).join();
  EXPECT_EQ(in_task, &recorder);
  recorder.End(kFirst, kOp);
  ASSERT_EQ(recorder.events().size(), 2U);
  const RunRecorder::Event &part = recorder.events()[0], &whole = recorder.events()[1];
  EXPECT_TRUE(part.part);
  EXPECT_EQ(*part.node, "first");
  EXPECT_NE(part.thread, whole.thread);
  EXPECT_GE(part.begin_ns, whole.begin_ns);
  EXPECT_LE(part.end_ns, whole.end_ns);
}

TEST(RunRecorder, RecordsTheWorkersOfARegion) {
  ForkJoin::Options options;
  options.threads = 2;
  ForkJoin pool(options);
  std::atomic<int> ran{0};
  bool helped = false;
  // A worker takes the task if the caller is busy for long enough.
  for (int i = 0; i < 1000 && !helped; ++i) {
    RunRecorder recorder;
    recorder.Begin(kFirst, kOp);
    pool.Run([&] {
      pool.Fork([&ran] { ++ran; }, 1);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    });
    recorder.End(kFirst, kOp);
    EXPECT_EQ(ran, i + 1);
    helped = recorder.events().size() == 2 && recorder.events()[0].part;
  }
  EXPECT_TRUE(helped);
}

}  // namespace
}  // namespace savedmodel::engine
