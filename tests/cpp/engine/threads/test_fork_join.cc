// SPDX-License-Identifier: Apache-2.0
// The threads of one model, without TensorFlow: every task runs once and in time, whichever thread calls.
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/threads/fork_join.h"
#include "gtest/gtest.h"

namespace savedmodel::engine {
namespace {

using Task = ForkJoin::Task;

ForkJoin::Options Threads(int threads) {
  ForkJoin::Options options;
  options.threads = threads;
  return options;
}

// Divides like oneDNN's adaptor: passes the upper half to another thread, until one chunk is left.
void Divide(ForkJoin& pool, int first, int last, const std::function<void(int)>& chunk) {
  while (last - first > 1) {
    const int middle = first + (last - first) / 2;
    pool.Fork([&pool, middle, last, &chunk] { Divide(pool, middle, last, chunk); }, middle);
    last = middle;
  }
  chunk(first);
}

void Region(ForkJoin& pool, int chunks, const std::function<void(int)>& chunk) {
  pool.Run([&] { Divide(pool, 0, chunks, chunk); });
}

// Waits like Eigen's loops: the caller sleeps until the last task notifies it.
class Countdown {
 public:
  explicit Countdown(int count) : count_(count) {}
  void Down() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--count_ == 0) zero_.notify_all();
  }
  bool Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    return zero_.wait_for(lock, std::chrono::seconds(60), [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable zero_;
  int count_;
};

void InThreads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void Burn(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

class ForkJoinOf : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, ForkJoinOf, ::testing::Values(1, 2, 3, 8, 64));

TEST_P(ForkJoinOf, RunsEveryChunkOnceBeforeItReturns) {
  ForkJoin pool(Threads(GetParam()));
  for (int round = 0; round < 500; ++round) {
    const int chunks = 1 + round % (2 * GetParam() + 3);         // more than threads, too
    std::vector<int> runs(static_cast<std::size_t>(chunks), 0);  // not atomic: each has one owner
    Region(pool, chunks, [&](int chunk) { ++runs[static_cast<std::size_t>(chunk)]; });
    EXPECT_EQ(runs, std::vector<int>(static_cast<std::size_t>(chunks), 1));
  }
}

TEST_P(ForkJoinOf, ServesManyCallers) {
  ForkJoin pool(Threads(GetParam()));
  std::atomic<int> wrong{0};
  InThreads(12, [&](int caller) {
    for (int round = 0; round < 200; ++round) {
      std::vector<int> values(static_cast<std::size_t>(GetParam()), 0);
      const auto region = [&] {
        Region(pool, GetParam(),
               [&](int chunk) { values[static_cast<std::size_t>(chunk)] += caller + chunk; });
      };
      if (round % 2 == 0) {
        const ForkJoin::Call call(pool);
        region();
        region();
      } else {
        region();
        region();
      }
      for (int i = 0; i < GetParam(); ++i) wrong += values[static_cast<std::size_t>(i)] != 2 * (caller + i);
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST_P(ForkJoinOf, RunsLooseTasksThatScheduleMore) {
  ForkJoin pool(Threads(GetParam()));
  for (int round = 0; round < 100; ++round) {
    constexpr int kTasks = 64;
    Countdown left(kTasks);
    const std::thread::id here = std::this_thread::get_id();
    std::atomic<int> wrong{0};
    std::function<void(int, int)> range = [&](int first, int last) {
      while (last - first > 1) {
        const int middle = first + (last - first) / 2;
        pool.Schedule([&range, middle, last] { range(middle, last); });
        last = middle;
      }
      wrong += std::this_thread::get_id() == here || pool.CurrentId() < 0 || pool.CurrentId() >= GetParam();
      left.Down();
    };
    pool.Schedule([&] { range(0, kTasks); });
    ASSERT_TRUE(left.Wait());
    EXPECT_EQ(wrong, 0);
  }
}

TEST_P(ForkJoinOf, ScheduleRunsNothingUnderTheCallersLock) {
  ForkJoin pool(Threads(GetParam()));
  std::mutex mutex;
  Countdown left(300);
  for (int i = 0; i < 300; ++i) {
    const std::lock_guard<std::mutex> lock(mutex);
    pool.Schedule([&] {
      const std::lock_guard<std::mutex> inner(mutex);
      left.Down();
    });
  }
  EXPECT_TRUE(left.Wait());
}

TEST_P(ForkJoinOf, MixesRegionsAndLooseTasks) {
  ForkJoin pool(Threads(GetParam()));
  std::atomic<int> wrong{0};
  InThreads(4, [&](int) {
    for (int round = 0; round < 100; ++round) {
      Countdown loose(5);
      std::atomic<int> chunks{0};
      for (int i = 0; i < 4; ++i) pool.Schedule([&] { loose.Down(); });
      Region(pool, GetParam(), [&](int chunk) {
        ++chunks;
        if (chunk == 0) pool.Schedule([&] { loose.Down(); });  // from inside a region
      });
      wrong += chunks != GetParam();
      wrong += !loose.Wait();
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST_P(ForkJoinOf, WaitsForScheduledTasksWhenDestroyed) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> done{0};
    {
      ForkJoin pool(Threads(GetParam()));
      for (int i = 0; i < 50; ++i) {
        pool.Schedule([&] {
          pool.Schedule([&] { ++done; });
          ++done;
        });
      }
    }
    EXPECT_EQ(done, 100);
  }
}

TEST_P(ForkJoinOf, IsDestroyedAtAnyTime) {
  for (int round = 0; round < 20; ++round) {
    const ForkJoin unused(Threads(GetParam()));
  }
  for (int round = 0; round < 20; ++round) {
    ForkJoin pool(Threads(GetParam()));
    Region(pool, GetParam(), [](int) {});
    if (round % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // all asleep
  }
}

TEST_P(ForkJoinOf, SleepsWhenNobodyCalls) {
  ForkJoin pool(Threads(GetParam()));
  for (int round = 0; round < 100; ++round)
    Region(pool, GetParam(), [](int) { Burn(std::chrono::microseconds(20)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double begin = CpuSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LT(CpuSeconds() - begin, 0.05);
}

TEST(ForkJoin, KnowsWhereItRuns) {
  ForkJoin pool(Threads(4));
  ForkJoin other(Threads(2));
  EXPECT_EQ(pool.CurrentId(), -1);
  EXPECT_FALSE(pool.InRegion());
  std::atomic<int> wrong{0};
  Region(pool, 4, [&](int) {
    wrong += pool.CurrentId() < 0 || pool.CurrentId() >= 4 || !pool.InRegion();
    wrong += other.CurrentId() != -1 || other.InRegion();
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(pool.CurrentId(), -1);
  EXPECT_FALSE(pool.InRegion());
}

TEST(ForkJoin, RunsARegionOfAnotherPoolInside) {
  ForkJoin outer(Threads(3));
  ForkJoin inner(Threads(3));
  std::atomic<int> runs{0};
  Region(outer, 3, [&](int) {
    Region(inner, 3, [&](int) { ++runs; });
    runs += outer.InRegion();
  });
  EXPECT_EQ(runs, 12);
}

TEST(ForkJoin, UsesItsWorkers) {
  ForkJoin::Options options = Threads(4);
  options.yield_cores = false;  // whatever else runs on this machine
  ForkJoin pool(options);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  for (int round = 0; round < 2000 && threads.size() < 4; ++round) {
    Region(pool, 4, [&](int) {
      Burn(std::chrono::microseconds(200));
      const std::lock_guard<std::mutex> lock(mutex);
      threads.insert(std::this_thread::get_id());
    });
  }
  EXPECT_EQ(threads.size(), 4U);
}

TEST(ForkJoin, WithAsManyCallersAsThreadsEachIsAlone) {
  ForkJoin pool(Threads(2));
  std::atomic<int> inside{0};
  std::atomic<int> wrong{0};
  InThreads(3, [&](int) {
    const ForkJoin::Call call(pool);
    ++inside;
    Region(pool, 2, [](int) {});
    while (inside < 3) std::this_thread::yield();
    const std::thread::id here = std::this_thread::get_id();
    for (int round = 0; round < 500; ++round) {
      Region(pool, 2, [&](int) { wrong += std::this_thread::get_id() != here; });
    }
    ++inside;
    while (inside < 6) std::this_thread::yield();
  });
  EXPECT_EQ(wrong, 0);
}

TEST(ForkJoin, ACallWithoutRegionsIsNoCaller) {
  ForkJoin pool(Threads(2));
  const ForkJoin::Call call(pool);
  std::thread([&] {
    const ForkJoin::Call other(pool);
    Region(pool, 1, [](int) {});
    EXPECT_EQ(pool.Width(), 1);
  }).join();
  Region(pool, 1, [](int) {});
  std::thread([&] {
    const ForkJoin::Call other(pool);
    Region(pool, 1, [&](int) { EXPECT_EQ(pool.Width(), 0); });
  }).join();
}

TEST(ForkJoin, ACallerSleepsForAChunkThatTakesLong) {
  ForkJoin pool(Threads(2));
  std::atomic<bool> taken{false};
  std::atomic<int> done{0};
  for (int round = 0; round < 20; ++round) {
    taken = false;
    Region(pool, 2, [&](int chunk) {
      if (chunk == 0) {  // leave the other chunk to the worker for a while
        for (int i = 0; i < 1000 && !taken; ++i) std::this_thread::sleep_for(std::chrono::microseconds(50));
      } else {
        taken = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
      }
      ++done;
    });
  }
  EXPECT_EQ(done, 40);
}

TEST(ForkJoin, WrapsItsWorkers) {
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  ForkJoin::Options options = Threads(3);
  options.in_worker = [&](const Task& work) {
    ++begun;
    work();
    ++ended;
  };
  {
    ForkJoin pool(options);
    Countdown one(1);
    pool.Schedule([&] { one.Down(); });
    EXPECT_TRUE(one.Wait());
  }
  EXPECT_EQ(begun, 3);
  EXPECT_EQ(ended, 3);
}

TEST(ForkJoin, StartsWorkersWithTheFirstTask) {
  std::atomic<int> begun{0};
  ForkJoin::Options options = Threads(3);
  options.in_worker = [&](const Task& work) {
    ++begun;
    work();
  };
  {
    ForkJoin pool(options);
    const ForkJoin::Call call(pool);
  }
  EXPECT_EQ(begun, 0);
  {
    ForkJoin pool(options);
    Region(pool, 3, [](int) {});
  }
  EXPECT_EQ(begun, 2);  // the third is for scheduled tasks
  {
    ForkJoin pool(options);
    InThreads(4, [&](int) { Region(pool, 3, [](int) {}); });
  }
  EXPECT_EQ(begun, 4);
}

TEST_P(ForkJoinOf, RunsARegionInsideOfARegionInOneThread) {
  ForkJoin pool(Threads(GetParam()));
  std::atomic<int> wrong{0};
  std::atomic<int> runs{0};
  for (int round = 0; round < 50; ++round) {
    Region(pool, GetParam(), [&](int) {
      const std::thread::id here = std::this_thread::get_id();
      const int id = pool.CurrentId();
      Region(pool, 3, [&](int) {
        wrong += std::this_thread::get_id() != here || pool.CurrentId() != id;
        ++runs;
      });
      wrong += !pool.InRegion();
    });
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(runs, 150 * GetParam());
}

#if !defined(SAVEDMODEL_SANITIZE_THREAD)  // it does not follow threads across a fork
TEST(ForkJoin, IsDestroyedInAForkedChild) {
  auto* pool = new ForkJoin(Threads(4));
  Region(*pool, 4, [](int) {});
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    delete pool;
    _exit(7);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  delete pool;
}
#endif

}  // namespace
}  // namespace savedmodel::engine
