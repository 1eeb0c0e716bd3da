// SPDX-License-Identifier: Apache-2.0
// Loops of Eigen, of TensorFlow and of savedmodel's kernels, in a model's own threads and in TensorFlow's
// pool.
#define EIGEN_USE_THREADS

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "engine/threads/eigen_loops.h"
#include "engine/threads/fork_join_pool.h"
#include "engine/threads/intra_op.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/work_sharder.h"
#include "unsupported/Eigen/CXX11/Tensor"

namespace savedmodel::engine {
namespace {

namespace tf = tensorflow;
using Range = std::function<void(std::int64_t, std::int64_t)>;
using Loop = std::function<void(std::int64_t count, const Range& work)>;

constexpr std::int64_t kCost = 100'000;  // per item: every loop is worth all threads

// A device with the given pool, to run every kind of loop in.
class Device {
 public:
  explicit Device(tf::thread::ThreadPool* pool)
      : pool_(pool), eigen_(pool->AsEigenThreadPool(), pool->NumThreads()), base_(tf::Env::Default()) {
    cpu_.num_threads = pool->NumThreads();
    cpu_.workers = pool;
    base_.set_tensorflow_cpu_worker_threads(&cpu_);
  }

  std::vector<Loop> Loops() {
    return {
        [this](std::int64_t count, const Range& work) { EXPECT_TRUE(OfAKernel(count, kCost, work).ok()); },
        [this](std::int64_t count, const Range& work) { Pack(count, work); },
        [this](std::int64_t count, const Range& work) {
          eigen_.parallelFor(count, Eigen::TensorOpCost(0, 0, kCost), work);
        },
        [this](std::int64_t count, const Range& work) {
          tf::Shard(cpu_.num_threads, pool_, count, kCost, work);
        },
        [this](std::int64_t count, const Range& work) {
          pool_->ParallelFor(count, tf::thread::ThreadPool::SchedulingParams::Fixed(1), work);
        },
    };
  }

  void Pack(std::int64_t count, const Range& work, tf::CancellationManager* run = nullptr) {
    tf::OpKernelContext::Params params;
    params.device = &base_;
    params.cancellation_manager = run;
    tf::OpKernelContext context(&params, 0);
    PackFor(&context, count, kCost, work);
    EXPECT_TRUE(context.status().ok());
  }

  int Usable() {
    tf::OpKernelContext::Params params;
    params.device = &base_;
    tf::OpKernelContext context(&params, 0);
    return UsableThreads(&context);
  }

  absl::Status OfAKernel(std::int64_t count, double cost, const Range& work,
                         tf::CancellationManager* run = nullptr) {
    tf::OpKernelContext::Params params;
    params.device = &base_;
    params.cancellation_manager = run;
    tf::OpKernelContext context(&params, 0);
    ParallelFor(&context, count, cost, work);
    return context.status();
  }

 private:
  tf::thread::ThreadPool* const pool_;
  Eigen::ThreadPoolDevice eigen_;
  tf::DeviceBase::CpuWorkerThreads cpu_;
  tf::DeviceBase base_;
};

void ExpectEveryItemOnce(const Loop& loop, std::int64_t count) {
  std::vector<int> runs(static_cast<std::size_t>(count), 0);  // not atomic: each has one owner
  loop(count, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
  });
  EXPECT_EQ(runs, std::vector<int>(static_cast<std::size_t>(count), 1));
}

class ParallelForIn : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, ParallelForIn, testing::Values(1, 2, 3, 8));

TEST_P(ParallelForIn, OwnThreadsRunsEveryItemOnce) {
  ForkJoinPool pool(GetParam());
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  for (const Loop& loop : device.Loops()) {
    for (int round = 0; round < 50; ++round) {
      for (const std::int64_t count : {0, 1, 2, 3, 7, 64, 1001}) ExpectEveryItemOnce(loop, count);
    }
  }
}

TEST_P(ParallelForIn, TensorFlowsPoolRunsEveryItemOnce) {
  tf::thread::ThreadPool pool(tf::Env::Default(), "test", GetParam());
  Device device(&pool);
  for (const Loop& loop : device.Loops()) {
    for (const std::int64_t count : {0, 1, 2, 3, 7, 64, 1001}) ExpectEveryItemOnce(loop, count);
  }
}

TEST_P(ParallelForIn, ManyCallersRunEveryItemOnce) {
  ForkJoinPool pool(GetParam());
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const ForkJoin::Call call(pool.fork_join());
      for (const Loop& loop : device.Loops()) {
        for (int round = 0; round < 20; ++round) ExpectEveryItemOnce(loop, 64);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// With a second caller no worker is left: the caller must not wait for a scheduled one.
TEST(ParallelFor, OfACallerWithoutWorkersStaysInItsThread) {
  ForkJoinPool pool(2);
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  const ForkJoin::Call call(pool.fork_join());
  pool.fork_join().Run([] {});
  std::thread([&] {
    const ForkJoin::Call other(pool.fork_join());
    pool.fork_join().Run([] {});
    for (const Loop& loop : device.Loops()) {
      const std::thread::id here = std::this_thread::get_id();
      loop(64, [&](std::int64_t, std::int64_t) { EXPECT_EQ(std::this_thread::get_id(), here); });
    }
  }).join();
}

// Includes kernels without a region that schedule their help.
TEST(UsableThreads, AreFewerWithMoreCallers) {
  ForkJoinPool pool(2);
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  const ForkJoin::Call call(pool.fork_join());
  EXPECT_EQ(device.Usable(), 2);
  std::thread([&] {
    const ForkJoin::Call other(pool.fork_join());
    EXPECT_EQ(device.Usable(), 1);
  }).join();
  EXPECT_EQ(device.Usable(), 2);
}

TEST(ParallelFor, KeepsShortLoopsInTheCaller) {
  ForkJoinPool pool(4);
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  int parts = 0;
  (void)device.OfAKernel(1000, 5, [&](std::int64_t begin, std::int64_t end) {
    ++parts;
    EXPECT_EQ(end - begin, 1000);
  });
  EXPECT_EQ(parts, 1);
}

TEST_P(ParallelForIn, LooksWhetherToStop) {
  tf::CancellationManager run;
  std::atomic<int> items{0};
  ForkJoinPool pool(GetParam());
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  const auto work = [&](std::int64_t begin, std::int64_t end) {
    items += static_cast<int>(end - begin);
    run.StartCancel();
  };
  const absl::Status status = device.OfAKernel(1000, kNsBetweenLooks, work, &run);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_LE(items, GetParam());
}

// Data that is kept must be complete.
TEST_P(ParallelForIn, PacksAllForARunThatEnds) {
  tf::CancellationManager run;
  ForkJoinPool pool(GetParam());
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  std::atomic<int> items{0};
  const Range work = [&](std::int64_t begin, std::int64_t end) {
    items += static_cast<int>(end - begin);
    run.StartCancel();
  };
  device.Pack(1000, work, &run);
  EXPECT_EQ(items, 1000);
}

// All threads of a service's pool may wait for data that one of them packs.
TEST_P(ParallelForIn, PacksWithoutAPoolThatIsNotOurs) {
  tf::thread::ThreadPool pool(tf::Env::Default(), "test", GetParam());
  Device device(&pool);
  const std::thread::id here = std::this_thread::get_id();
  device.Pack(64, [&](std::int64_t, std::int64_t) { EXPECT_EQ(std::this_thread::get_id(), here); });
}

TEST(ParallelFor, OfALoopInsideOfALoopReturns) {
  ForkJoinPool pool(3);
  tf::thread::ThreadPool wrapped(&pool);
  Device device(&wrapped);
  for (const Loop& outer : device.Loops()) {
    std::atomic<std::int64_t> items{0};
    outer(16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        device.Loops()[2](64, [&](std::int64_t first, std::int64_t last) { items += last - first; });
      }
    });
    EXPECT_EQ(items, 16 * 64);
  }
}

TEST(EigenLoops, AreToldFromOtherTasks) {
  EXPECT_EQ(KindOf([] {}), LoopTask::kNone);
  EXPECT_EQ(KindOf(nullptr), LoopTask::kNone);
}

TEST(MakeThreads, AreTheModelsOwnUnlessTheConfigHasANumber) {
  LoadOptions options;
  tf::ConfigProto config;
  EXPECT_NE(MakeThreads(options, config), nullptr);
  config.set_inter_op_parallelism_threads(2);
  EXPECT_NE(MakeThreads(options, config), nullptr);
  config.set_intra_op_parallelism_threads(2);
  EXPECT_EQ(MakeThreads(options, config), nullptr);
  options.threads = 3;
  EXPECT_NE(MakeThreads(options, config), nullptr);
}

}  // namespace
}  // namespace savedmodel::engine
