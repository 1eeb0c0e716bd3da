// SPDX-License-Identifier: Apache-2.0
// Threads for inference: the caller of a parallel region works in it, and waits for nothing that has not
// been started. Knows nothing of TensorFlow; fork_join_pool.h makes it TensorFlow's.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/threads/governor.h"
#include "engine/threads/region.h"

namespace savedmodel::engine {

class ForkJoin {
 public:
  using Task = std::function<void()>;  // must not throw

  struct Options {
    int threads = 1;  // that work in a region, its caller among them
    // How long an idle worker spins before it sleeps: regions of one call follow each other within it.
    std::int64_t spin_ns = 200'000;
    // How long a caller spins for a task that a worker has begun, before it sleeps.
    std::int64_t join_spin_ns = 100'000;
    bool yield_cores = true;                          // use fewer workers while others want the cores
    std::function<void(const Task& work)> in_worker;  // wraps a worker's life; null: nothing around it
  };

  // Workers start with the first task that they are needed for, as many as the system lets it have.
  explicit ForkJoin(Options options);
  // Waits for tasks that were scheduled. In a forked child there is nobody to wait for.
  ~ForkJoin();
  ForkJoin(const ForkJoin&) = delete;
  ForkJoin& operator=(const ForkJoin&) = delete;

  // Runs `root` here, and what it forks here and in workers; returns when all of it is done. Inside of a
  // region all of it runs here.
  void Run(const Task& root);
  // From a task of a region: `task` is part of it, and may run at any time before the region ends, in any
  // thread. Tasks of a region must not wait for each other. `hint`, from 1: the same number gets the same
  // worker.
  void Fork(Task task, int hint);
  // Runs `task` in a worker some time; here only if there can be no worker.
  void Schedule(Task task);

  int threads() const { return options_.threads; }
  // In a worker, and in a caller inside a region: 0 to threads() - 1; elsewhere -1.
  int CurrentId() const;
  bool InRegion() const;
  // How many workers a region of the calling thread could use just now.
  int Width() const;
  // The same; and from here on the thread's call counts as if it had had a region.
  int Enter();

  // A thread's call of the model, of which regions are a part; it counts from its first region on. With as
  // many callers as threads each works alone. Regions outside of one count as a call of their own.
  class Call {
   public:
    explicit Call(ForkJoin& pool);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    void Enter();

    ForkJoin& pool_;
    Call* outer_;
    bool entered_ = false;
    bool crowded_ = false;  // as many callers as threads when it began
    std::uint32_t phase_;
    std::int64_t begin_ = 0;
    friend class ForkJoin;
  };

 private:
  struct Worker;
  struct Here;
  static thread_local Here here_;
  static thread_local Call* call_;

  Region* Acquire();
  void Tell(const Region& region, int slot);
  bool TryRun(Region& region, int slot);
  bool TryRunAfter(Region& region, int slot);
  void Join(Region& region);
  void Await(Region& region, int slot);
  static void RunDeferred();

  // Returns how many workers there are: `wanted`, or fewer if the system has no more threads.
  int Start(int wanted);
  void MakeRoom();
  void Stop();
  void Work(Worker& me);
  void Open(std::uint64_t mail);
  bool RunLoose(Worker& me);
  bool Spin(Worker& me);  // false: nothing came, sleep
  void Sleep(Worker& me);
  bool Post(Worker& worker, std::uint64_t mail);
  bool Wake(Worker& worker);
  void WakeForLoose();
  bool Nothing(const Worker& me) const;
  void ReportRunQueueDelay();

  const Options options_;
  const int process_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Region>> regions_;
  std::mutex starting_;
  std::unique_ptr<std::vector<std::thread>> running_;  // guarded by starting_
  std::atomic<int> started_{0};                        // its size
  std::atomic<int> startable_;                         // what Start() need not be asked beyond
  Governor governor_;
  alignas(64) std::atomic<int> callers_{0};
  alignas(64) std::atomic<int> loose_{0};  // scheduled, and not begun
  std::atomic<bool> stop_{false};
  alignas(64) std::unique_ptr<std::atomic<std::uint64_t>[]> asleep_;  // a bit for each worker
};

}  // namespace savedmodel::engine
