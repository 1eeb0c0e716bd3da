// SPDX-License-Identifier: Apache-2.0
// When workers are taken out, and when they return. The clock is the test's.
#include <time.h>

#include "engine/threads/governor.h"
#include "gtest/gtest.h"

namespace savedmodel::engine {
namespace {

constexpr std::int64_t kMs = 1'000'000;

TEST(Governor, TakesOneWorkerAtATime) {
  Governor governor(2);
  std::int64_t now = 10'000 * kMs;
  governor.Yield(now);
  governor.Yield(now + 1);
  EXPECT_EQ(governor.yielded(), 1);
  for (int i = 0; i < 5; ++i) governor.Yield(now += 10 * kMs);
  EXPECT_EQ(governor.yielded(), 2);
}

TEST(Governor, ReturnsThemAfterAQuietProbe) {
  Governor governor(1);
  std::int64_t now = 10'000 * kMs;
  EXPECT_FALSE(governor.ProbeDue(now));
  governor.Yield(now);
  EXPECT_FALSE(governor.ProbeDue(now));
  now += 100 * kMs;
  EXPECT_TRUE(governor.ProbeDue(now));
  EXPECT_FALSE(governor.ProbeDue(now));  // one caller only
  governor.ProbeEnded(true, now);
  EXPECT_EQ(governor.yielded(), 0);
  EXPECT_FALSE(governor.ProbeDue(now + 100'000 * kMs));
}

TEST(Governor, ProbesLessOftenTheLongerItLasts) {
  Governor governor(1);
  std::int64_t now = 10'000 * kMs;
  governor.Yield(now);
  std::int64_t last = 0;
  for (int i = 0; i < 12; ++i) {
    const std::int64_t begin = now;
    while (!governor.ProbeDue(now)) now += kMs;
    EXPECT_GE(now - begin, last);
    last = now - begin;
    governor.ProbeEnded(false, now);
    EXPECT_EQ(governor.yielded(), 1);
  }
  EXPECT_LE(last, 1000 * kMs);
}

TEST(Governor, AFindingSpoilsTheProbe) {
  Governor governor(1);
  std::int64_t now = 10'000 * kMs;
  governor.Yield(now);
  now += 100 * kMs;
  ASSERT_TRUE(governor.ProbeDue(now));
  governor.Yield(now);
  governor.ProbeEnded(true, now);
  EXPECT_EQ(governor.yielded(), 1);
}

TEST(LostTime, SleepIsNotLost) {
  LostTime lost;
  const auto read = [] {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
  };
  lost.Restart(read());
  for (int i = 0; i < 5; ++i) {
    const timespec time{0, 5'000'000};
    nanosleep(&time, nullptr);
    EXPECT_FALSE(lost.Contended(read()));
  }
}

}  // namespace
}  // namespace savedmodel::engine
