// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/parallel_for.h"

#include <algorithm>
#include <atomic>

#include "absl/container/fixed_array.h"
#include "absl/status/status.h"
#include "engine/threads/fork_join_pool.h"
#include "engine/threads/service_pool.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/platform/threadpool.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Work = absl::FunctionRef<void(std::int64_t, std::int64_t)>;

constexpr double kMinPartNs = 5000;  // passing on a part costs about 0.5 us
constexpr int kPartsPerThread = 4;   // other threads take the parts of one that is late or loses its core

// Adjacent items, in parts that any thread may take.
struct alignas(64) Share {
  std::atomic<std::int64_t> next{0};  // orders the work of the parts before the code after the loop
  std::int64_t begin = 0, count = 0, parts = 0;
};

// Gives each thread an equal share, so that it works on the same data, in its cache, from loop to loop. A
// thread that has finished helps others with theirs.
class Loop {
 public:
  // `stop` may be null.
  Loop(std::int64_t count, std::int64_t parts, std::int64_t threads, Work work, const Stop* stop)
      : work_(work), stop_(stop), shares_(static_cast<std::size_t>(threads)) {
    for (std::int64_t i = 0; i < threads; ++i) {
      Share& share = shares_[static_cast<std::size_t>(i)];
      share.begin = count * i / threads;
      share.count = count * (i + 1) / threads - share.begin;
      share.parts = std::min((parts + threads - 1) / threads, share.count);
    }
    made_.store(true, std::memory_order_release);
  }

  void Run(std::int64_t thread) {
    (void)made_.load(std::memory_order_acquire);
    const std::size_t own = static_cast<std::size_t>(thread), shares = shares_.size();
    for (std::size_t i = 0; i < shares; ++i) RunShare(shares_[(own + i) % shares]);
  }

  // Acquires the work of threads whose end nothing else signals.
  void Acquire() const {
    for (const Share& share : shares_) (void)share.next.load(std::memory_order_acquire);
  }

 private:
  void RunShare(Share& share) {
    if (share.next.load(std::memory_order_relaxed) >= share.parts) return;
    for (;;) {
      const std::int64_t part = share.next.fetch_add(1, std::memory_order_acq_rel);
      if (part >= share.parts || IsStopped(stop_)) return;
      work_(Begin(share, part), Begin(share, part + 1));
    }
  }

  // Larger parts come first, so that the smaller last ones even out the finish times.
  static std::int64_t Begin(const Share& share, std::int64_t part) {
    return share.begin + share.count / share.parts * part + std::min(part, share.count % share.parts);
  }

  const Work work_;
  const Stop* const stop_;
  absl::FixedArray<Share, 8> shares_;
  std::atomic<bool> made_{false};  // orders construction before Run, if the pool's queue does not
};

ForkJoinPool* OwnPool(const tf::DeviceBase::CpuWorkerThreads& threads) {
  return dynamic_cast<ForkJoinPool*>(threads.workers->AsEigenThreadPool());
}

bool IsInline(const tf::DeviceBase::CpuWorkerThreads& threads) {
  const auto* pool = dynamic_cast<ServicePool*>(threads.workers->AsEigenThreadPool());
  return pool != nullptr && pool->IsInline();
}

}  // namespace

int UsableThreads(tf::OpKernelContext* context) {
  const tf::DeviceBase::CpuWorkerThreads* threads = context->device()->tensorflow_cpu_worker_threads();
  if (threads == nullptr || threads->num_threads < 2) return 1;
  ForkJoinPool* own = OwnPool(*threads);
  if (own != nullptr) return own->fork_join().Enter() + 1;
  return IsInline(*threads) ? 1 : threads->num_threads;
}

Stop StopOf(tf::OpKernelContext* context) {
  return Stop([](void* run) { return static_cast<tf::CancellationManager*>(run)->IsCancelled(); },
              context->cancellation_manager());
}

bool EndIfStopped(tf::OpKernelContext* context, const Stop& stop) {
  if (!stop()) return false;
  context->SetStatus(absl::CancelledError("the run was cancelled"));
  return true;
}

namespace {

// Runs in the caller, in pieces with a stop check after each.
void RunPieces(std::int64_t count, std::int64_t pieces, Work work, const Stop* stop) {
  for (std::int64_t i = 0; i < pieces && !IsStopped(stop); ++i) {
    const std::int64_t begin = count / pieces * i + std::min(i, count % pieces);
    work(begin, begin + count / pieces + (i < count % pieces ? 1 : 0));
  }
}

// `pieces`: the minimum number of parts, for stop checks between them.
void RunLoop(tf::OpKernelContext* context, std::int64_t count, double cost, std::int64_t pieces, Work work,
             const Stop* stop) {
  const tf::DeviceBase::CpuWorkerThreads* threads = context->device()->tensorflow_cpu_worker_threads();
  const double worth = std::min(static_cast<double>(count) * cost / kMinPartNs, static_cast<double>(count));
  if (threads == nullptr || threads->num_threads < 2 || worth < 2)
    return RunPieces(count, pieces, work, stop);
  const std::int64_t parts = std::max(pieces, std::min(static_cast<std::int64_t>(worth),
                                                       std::int64_t{kPartsPerThread} * threads->num_threads));
  const std::int64_t wanted = std::min<std::int64_t>(parts, threads->num_threads);
  ForkJoinPool* own = OwnPool(*threads);
  if (own == nullptr && IsInline(*threads)) return RunPieces(count, pieces, work, stop);
  if (own == nullptr) {
    Loop loop(count, parts, wanted, work, stop);
    threads->workers->ParallelFor(wanted, tf::thread::ThreadPool::SchedulingParams::Fixed(1),
                                  [&loop](std::int64_t begin, std::int64_t end) {
                                    for (std::int64_t i = begin; i < end; ++i) loop.Run(i);
                                  });
    return loop.Acquire();
  }
  ForkJoin& pool = own->fork_join();
  if (pool.InRegion()) return RunPieces(count, pieces, work, stop);
  Loop loop(count, parts, wanted, work, stop);
  pool.Run([&] {
    for (int i = 1; i < wanted; ++i) pool.Fork([&loop, i] { loop.Run(i); }, i);
    loop.Run(0);
  });
}

}  // namespace

void ParallelFor(tf::OpKernelContext* context, std::int64_t count, double cost, Work work) {
  if (count <= 0) return;
  const double looks =
      std::min(static_cast<double>(count) * cost / kNsBetweenLooks, static_cast<double>(count));
  if (looks < 1) return RunLoop(context, count, cost, 1, work, nullptr);
  const Stop stop = StopOf(context);
  RunLoop(context, count, cost, static_cast<std::int64_t>(looks), work, &stop);
  EndIfStopped(context, stop);
}

void PackFor(tf::OpKernelContext* context, std::int64_t count, double cost, Work work) {
  if (count <= 0) return;
  const tf::DeviceBase::CpuWorkerThreads* threads = context->device()->tensorflow_cpu_worker_threads();
  if (threads == nullptr || OwnPool(*threads) == nullptr) return work(0, count);
  RunLoop(context, count, cost, 1, work, nullptr);
}

}  // namespace savedmodel::engine
