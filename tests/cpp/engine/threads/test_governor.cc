// SPDX-License-Identifier: Apache-2.0
// When workers are taken out, and when they return. Uses a clock of its own.
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <thread>

#include "engine/threads/governor.h"
#include "gtest/gtest.h"

namespace savedmodel::engine {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// Calls that take `ms` in each mode, until `end`; records how long each mode was active.
struct Times {
  std::int64_t now = 10'000 * kMs;
  std::int64_t in[3] = {0, 0, 0};

  void Call(Governor& governor, const std::int64_t (&ms)[3], bool contended) {
    const std::uint32_t phase = governor.phase();
    const Governor::Mode mode = governor.mode();
    const std::int64_t begin = now;
    now += ms[mode] * kMs;
    in[mode] += ms[mode] * kMs;
    if (contended) governor.Found(now, now - begin);
    if (phase != 0) governor.Learn(phase, begin, now);
  }
  void Calls(Governor& governor, const std::int64_t (&ms)[3], bool contended, std::int64_t for_ms) {
    for (const std::int64_t end = now + for_ms * kMs; now < end;) Call(governor, ms, contended);
  }
};

TEST(Governor, IsCalmWithoutEvidence) {
  Governor governor(3);
  Times times;
  times.Calls(governor, {2, 1, 1}, false, 1000);
  EXPECT_EQ(governor.phase(), 0U);
  EXPECT_EQ(governor.mode(), Governor::kSpin);
}

TEST(Governor, APassingProcessChangesNothing) {
  Governor governor(1);
  Times times;
  for (int i = 0; i < 100; ++i) {
    times.Calls(governor, {100, 50, 50}, false, 500);
    governor.Found(times.now, 5 * kMs);  // one sample every half second
  }
  times.Calls(governor, {100, 50, 50}, false, 500);
  EXPECT_EQ(times.in[Governor::kSleep] + times.in[Governor::kNarrow], 0);
  EXPECT_EQ(governor.phase(), 0U);
}

TEST(Governor, ReturnsFromACheckWithinALongCall) {
  Governor governor(1);
  Times times;
  times.Calls(governor, {300, 300, 100}, true, 5'000);
  while (governor.mode() != Governor::kNarrow) times.Call(governor, {300, 300, 100}, true);
  while (governor.mode() == Governor::kNarrow) times.Call(governor, {300, 300, 100}, false);
  governor.Found(times.now + 5 * kMs, 5 * kMs);
  EXPECT_EQ(governor.mode(), Governor::kNarrow);
}

TEST(Governor, KeepsTheFastestMode) {
  const std::int64_t cases[3][3] = {{3, 5, 4}, {5, 3, 4}, {5, 4, 3}};
  for (int best = 0; best < 3; ++best) {
    Governor governor(1);
    Times times;
    times.Calls(governor, cases[best], true, 10'000);
    EXPECT_GT(times.in[best], 8'500 * kMs) << best;
  }
}

TEST(Governor, IsCalmAgainSoonAfterTheOthersLeft) {
  Governor governor(7);
  Times times;
  times.Calls(governor, {5, 4, 3}, true, 10'000);
  EXPECT_NE(governor.phase(), 0U);
  times.Calls(governor, {1, 2, 3}, false, 2'000);
  EXPECT_EQ(governor.phase(), 0U);
  EXPECT_EQ(governor.mode(), Governor::kSpin);
  EXPECT_EQ(governor.yielded(), 0);
}

// A daemon that wakes occasionally must not bring back what was learnt during contention.
TEST(Governor, StaysCalmWhenAfterTheOthersSomethingPassesNowAndThen) {
  Governor governor(1);
  Times times;
  times.Calls(governor, {5, 4, 3}, true, 10'000);
  times.Calls(governor, {1, 2, 3}, false, 2'000);
  std::fill(std::begin(times.in), std::end(times.in), 0);
  for (int i = 0; i < 100; ++i) {
    governor.Found(times.now, 5 * kMs);
    times.Calls(governor, {1, 2, 3}, false, 300);
    governor.Found(times.now, 5 * kMs);
    times.Call(governor, {1, 2, 3}, false);
    governor.Found(times.now, 4 * kMs);
    times.Calls(governor, {1, 2, 3}, false, 300);
  }
  EXPECT_EQ(times.in[Governor::kSleep] + times.in[Governor::kNarrow], 0);
}

TEST(Governor, TriesEverFewerWorkersWhileThatIsFaster) {
  Governor governor(16);
  Times times;
  int least = 16;
  int most = 0;
  for (int i = 0; i < 20'000; ++i) {
    times.Call(governor, {5, 4, 3}, true);
    if (governor.mode() != Governor::kNarrow) continue;
    least = std::min(least, governor.yielded());
    most = std::max(most, governor.yielded());
  }
  EXPECT_LE(least, 8);
  EXPECT_EQ(most, 16);
}

TEST(Governor, GivesUpAHopelessModeAtOnce) {
  Governor governor(63);
  Times times;
  times.Calls(governor, {3, 3, 200}, true, 20'000);
  EXPECT_LT(times.in[Governor::kNarrow], 5'000 * kMs);
}

std::int64_t Now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

// On a busy machine a sleeping thread sometimes waits for a core.
TEST(RunQueueDelay, SleepIsNotLost) {
  RunQueueDelay lost;
  lost.Restart(Now());
  int contended = 0;
  for (int i = 0; i < 20; ++i) {
    const timespec time{0, 5'000'000};
    nanosleep(&time, nullptr);
    contended += lost.Contended(Now()) > 0 ? 1 : 0;
  }
  EXPECT_LT(contended, 10);
}

TEST(RunQueueDelay, AnothersTurnOnTheSameCoreIsLost) {
  if (access("/proc/thread-self/schedstat", R_OK) != 0) GTEST_SKIP() << "the scheduler does not say";
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(sched_getcpu(), &here);
  std::atomic<bool> stop{false};
  const auto spin = [&](const std::function<void()>& look) {
    ASSERT_EQ(sched_setaffinity(0, sizeof(here), &here), 0);
    while (!stop) look();
  };
  std::int64_t contended = 0;
  std::thread one([&] {
    RunQueueDelay lost;
    const std::int64_t end = Now() + 2'000 * kMs;
    lost.Restart(Now());
    spin([&] {
      contended += lost.Contended(Now());
      if (contended > 20 * kMs || Now() > end) stop = true;
    });
  });
  std::thread other([&] { spin([] {}); });
  one.join();
  other.join();
  EXPECT_GT(contended, 20 * kMs);
}

}  // namespace
}  // namespace savedmodel::engine
