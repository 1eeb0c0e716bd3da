// SPDX-License-Identifier: Apache-2.0
// Threads that go through phases together: each part of each phase runs once, even if a thread is late or
// away.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "engine/kernels/rnn/lockstep.h"

namespace savedmodel::engine::rnn {
namespace {

// How often each part of each phase ran, and whether one began before the previous phase was done.
struct Log {
  Log(std::int64_t phases, int a_parts)
      : parts(a_parts),
        done(static_cast<std::size_t>(phases * a_parts)),
        left(static_cast<std::size_t>(phases)) {
    for (auto& count : left) count = parts;
  }
  void Add(std::int64_t phase, int part) {
    if (phase > 0 && left[static_cast<std::size_t>(phase - 1)] != 0) early = true;
    ++done[static_cast<std::size_t>(phase * parts + part)];
    --left[static_cast<std::size_t>(phase)];
  }
  void Check() const {
    EXPECT_FALSE(early);
    for (const auto& count : done) EXPECT_EQ(count, 1);
  }
  int parts;
  std::vector<std::atomic<int>> done;
  std::vector<std::atomic<int>> left;
  std::atomic<bool> early{false};
};

TEST(Lockstep, EveryPartOnceAndInOrder) {
  for (const int parts : {1, 2, 3, 5}) {
    Log log(300, parts);
    Lockstep lockstep(300, parts, [&](std::int64_t phase, int part) { log.Add(phase, part); });
    std::vector<std::thread> helpers;
    for (int part = 1; part < parts; ++part) helpers.emplace_back([&, part] { lockstep.Help(part); });
    for (std::int64_t phase = 0; phase < 300;) phase += lockstep.Run(phase) ? 1 : 0;
    for (std::thread& helper : helpers) helper.join();
    log.Check();
  }
}

TEST(Lockstep, NobodyNeedsToCome) {
  Log log(10, 3);
  Lockstep lockstep(10, 3, [&](std::int64_t phase, int part) { log.Add(phase, part); });
  for (std::int64_t phase = 0; phase < 10; ++phase) ASSERT_TRUE(lockstep.Run(phase));
  log.Check();
  lockstep.Help(1);  // comes too late
  log.Check();
}

TEST(Lockstep, OneComesInTheMiddle) {
  Log log(200, 2);
  Lockstep lockstep(200, 2, [&](std::int64_t phase, int part) { log.Add(phase, part); });
  for (std::int64_t phase = 0; phase < 100; ++phase) ASSERT_TRUE(lockstep.Run(phase));
  std::thread helper([&] { lockstep.Help(1); });
  for (std::int64_t phase = 100; phase < 200; ++phase) ASSERT_TRUE(lockstep.Run(phase));
  helper.join();
  log.Check();
}

TEST(Lockstep, AHelperLeavesACallerWhoIsAway) {
  Lockstep lockstep(3, 2, [](std::int64_t, int) {});
  lockstep.Help(1);  // returns
  for (std::int64_t phase = 0; phase < 3; ++phase) EXPECT_TRUE(lockstep.Run(phase));
}

TEST(Lockstep, GivesUpOneWhoDoesNotComeBack) {
  std::atomic<bool> back{false};
  std::atomic<bool> begun{false};
  std::atomic<int> after{0};
  Lockstep lockstep(9, 3, [&](std::int64_t phase, int part) {
    if (phase > 4) ++after;
    if (phase != 4) return;
    if (part == 0) {
      while (!begun) std::this_thread::yield();
    }
    if (part == 2) {
      begun = true;
      while (!back) std::this_thread::yield();
    }
  });
  std::thread other([&] { lockstep.Help(1); });
  std::thread late;
  for (std::int64_t phase = 0; phase < 4; ++phase) ASSERT_TRUE(lockstep.Run(phase));
  late = std::thread([&] { lockstep.Help(2); });
  EXPECT_FALSE(lockstep.Run(4));
  back = true;
  late.join();
  other.join();
  EXPECT_EQ(after, 0);
}

}  // namespace
}  // namespace savedmodel::engine::rnn
