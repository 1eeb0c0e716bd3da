// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "core/run_gate.h"
#include "gtest/gtest.h"

namespace savedmodel::internal {
namespace {

using std::chrono::milliseconds;

TEST(RunGate, LetsInUntilItIsShut) {
  RunGate gate;
  EXPECT_FALSE(gate.closed());
  EXPECT_TRUE(gate.Enter());
  EXPECT_TRUE(gate.Enter());
  gate.Shut();
  EXPECT_TRUE(gate.closed());
  EXPECT_FALSE(gate.Enter());
  gate.Leave();
  gate.Leave();
  EXPECT_FALSE(gate.Enter());
}

TEST(RunGate, WaitReturnsAtOnceWhenNobodyIsInside) {
  RunGate gate;
  gate.Shut();
  gate.Shut();
  gate.Wait();
  gate.Wait();
  EXPECT_TRUE(gate.WaitFor(0));
}

TEST(RunGate, WaitForGivesUp) {
  RunGate gate;
  ASSERT_TRUE(gate.Enter());
  gate.Shut();
  EXPECT_FALSE(gate.WaitFor(0));
  EXPECT_FALSE(gate.WaitFor(0.02));
  gate.Leave();
  EXPECT_TRUE(gate.WaitFor(0));
}

TEST(RunGate, WaitLastsUntilTheLastOneHasLeft) {
  RunGate gate;
  ASSERT_TRUE(gate.Enter());
  ASSERT_TRUE(gate.Enter());
  gate.Shut();
  auto waiting = std::async(std::launch::async, [&] { gate.Wait(); });
  EXPECT_EQ(waiting.wait_for(milliseconds(20)), std::future_status::timeout);
  gate.Leave();
  EXPECT_EQ(waiting.wait_for(milliseconds(20)), std::future_status::timeout);
  gate.Leave();
  EXPECT_EQ(waiting.wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

TEST(RunGate, SeveralMayWait) {
  RunGate gate;
  ASSERT_TRUE(gate.Enter());
  gate.Shut();
  std::vector<std::future<void>> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(std::async(std::launch::async, [&] { gate.Wait(); }));
  gate.Leave();
  for (auto& one : waiting) EXPECT_EQ(one.wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

// Close relies on this: once Wait() has returned, no call is inside or enters.
TEST(RunGate, NobodyIsInsideAfterWait) {
  for (int round = 0; round < 200; ++round) {
    RunGate gate;
    std::atomic<bool> freed{false};
    std::atomic<int> entered{0};
    std::atomic<int> inside_after_free{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        while (gate.Enter()) {
          ++entered;
          if (freed) ++inside_after_free;
          std::this_thread::yield();
          if (freed) ++inside_after_free;
          gate.Leave();
        }
      });
    }
    while (entered < 8) std::this_thread::yield();
    gate.Shut();
    gate.Wait();
    freed = true;
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(inside_after_free, 0) << "in round " << round;
  }
}

}  // namespace
}  // namespace savedmodel::internal
