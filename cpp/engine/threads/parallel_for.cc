// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/parallel_for.h"

#include <algorithm>
#include <atomic>

#include "engine/threads/fork_join_pool.h"
#include "engine/threads/service_pool.h"
#include "tensorflow/core/platform/threadpool.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Work = absl::FunctionRef<void(std::int64_t, std::int64_t)>;

constexpr double kLeastPartNs = 5000;  // handing over a part costs about 0.5 us
constexpr int kPartsPerThread = 4;     // a thread that is late, or loses its core, leaves its parts to others

struct Loop {
  const std::int64_t count;
  const std::int64_t parts;
  const Work work;
  // Orders what the parts do behind what came before the loop, and before what comes after it.
  std::atomic<std::int64_t> next{0};

  void RunParts() {
    for (;;) {
      const std::int64_t part = next.fetch_add(1, std::memory_order_acq_rel);
      if (part >= parts) return;
      work(Begin(part), Begin(part + 1));
    }
  }
  std::int64_t Begin(std::int64_t part) const { return count / parts * part + std::min(part, count % parts); }
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

void ParallelFor(tf::OpKernelContext* context, std::int64_t count, double cost, Work work) {
  if (count <= 0) return;
  const tf::DeviceBase::CpuWorkerThreads* threads = context->device()->tensorflow_cpu_worker_threads();
  const double worth = std::min(static_cast<double>(count) * cost / kLeastPartNs, static_cast<double>(count));
  if (threads == nullptr || threads->num_threads < 2 || worth < 2) return work(0, count);
  const std::int64_t parts =
      std::min(static_cast<std::int64_t>(worth), std::int64_t{kPartsPerThread} * threads->num_threads);
  Loop loop{count, parts, work};
  ForkJoinPool* own = OwnPool(*threads);
  if (own == nullptr && IsInline(*threads)) return work(0, count);
  if (own == nullptr) {
    const std::int64_t helpers = std::min<std::int64_t>(parts, threads->num_threads);
    loop.next.store(0, std::memory_order_release);
    threads->workers->ParallelFor(helpers, tf::thread::ThreadPool::SchedulingParams::Fixed(1),
                                  [&loop](std::int64_t, std::int64_t) { loop.RunParts(); });
    (void)loop.next.load(std::memory_order_acquire);
    return;
  }
  ForkJoin& pool = own->fork_join();
  if (pool.InRegion()) return work(0, count);
  pool.Run([&] {
    const int helpers = static_cast<int>(std::min<std::int64_t>(parts, pool.threads())) - 1;
    for (int i = 1; i <= helpers; ++i) pool.Fork([&loop] { loop.RunParts(); }, i);
    loop.RunParts();
  });
}

}  // namespace savedmodel::engine
