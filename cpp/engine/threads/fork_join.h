// SPDX-License-Identifier: Apache-2.0
// Threads for inference: the caller of a parallel region works in it, and waits only for tasks that have
// begun. Independent of TensorFlow; fork_join_pool.h adapts it.
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
    int threads = 1;  // threads of a region, including its caller
    // How long an idle worker spins before it sleeps. The regions of one call follow each other within this
    // time.
    std::int64_t spin_ns = 200'000;
    // How long a caller spins for a task that a worker has begun, before it sleeps.
    std::int64_t join_spin_ns = 100'000;
    bool yield_cores = true;                          // use fewer workers while other processes want the
                                                      // cores
    std::function<void(const Task& work)> in_worker;  // called around a worker's loop; may be null
  };

  // Workers start with the first task that needs them, as many as the system allows.
  explicit ForkJoin(Options options);
  // Waits for scheduled tasks; in a forked child there are none to wait for.
  ~ForkJoin();
  ForkJoin(const ForkJoin&) = delete;
  ForkJoin& operator=(const ForkJoin&) = delete;

  // Runs `root` here, and the tasks that it forks here and in workers; returns when all are done. Inside a
  // region everything runs here.
  void Run(const Task& root);
  // Call from a task of a region: adds `task`, which may run in any thread before the region ends. Tasks of a
  // region must not wait for each other. `hint`, from 1: equal numbers prefer the same worker.
  void Fork(Task task, int hint);
  // Runs `task` later in a worker, or here if no worker can exist.
  void Schedule(Task task);

  int threads() const { return options_.threads; }
  // 0 to threads() - 1 in a worker, and in a caller inside a region; elsewhere -1.
  int CurrentId() const;
  bool InRegion() const;
  // How many workers a region of the calling thread could use now.
  int Width() const;
  // The same; from here on the thread's call counts as if it had had a region.
  int Enter();

  // A call of the model in this thread, which regions are a part of. It counts as a caller from its first
  // region on; with as many callers as threads, each works alone. A region outside a Call counts as one.
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
    bool crowded_ = false;  // there were as many callers as threads when it began
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

  // Returns the number of workers: `wanted`, or fewer if the system allows no more threads.
  int Start(int wanted);
  void MakeRoom();
  void Stop();
  void Work(Worker& me);
  void Open(std::uint64_t mail);
  bool RunLoose(Worker& me);
  bool Spin(Worker& me);  // returns false if nothing came: sleep
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
  std::atomic<int> startable_;                         // upper limit of what Start() can provide
  Governor governor_;
  alignas(64) std::atomic<int> callers_{0};
  alignas(64) std::atomic<int> loose_{0};  // scheduled, but not begun
  std::atomic<bool> stop_{false};
  alignas(64) std::unique_ptr<std::atomic<std::uint64_t>[]> asleep_;  // one bit per worker
};

}  // namespace savedmodel::engine
