// SPDX-License-Identifier: Apache-2.0
// Types shared by fork_join.cc (callers) and fork_join_worker.cc (workers).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/threads/fork_join.h"

namespace savedmodel::engine {

// A worker's mail: nothing, a wake-up, or the region (its number from 1) and slot of an offered task. It only
// says where to look; the task may be gone.
enum Mail : std::uint64_t { kNoMail = 0, kLooseMail = 1, kFirstRegionMail = 1U << 16 };

struct alignas(64) ForkJoin::Worker {
  explicit Worker(int number) : id(number) {}

  const int id;
  std::atomic<std::uint64_t> mail{kNoMail};  // the word that it spins on, on its own cache line
  std::atomic<std::uint32_t> asleep{0};      // the futex that it sleeps on
  std::atomic<bool> spinning{false};

  alignas(64) std::mutex mutex;
  std::deque<Task> loose;       // guarded by the mutex
  std::atomic<int> waiting{0};  // its size, readable without the mutex

  alignas(64) RunQueueDelay lost;
};

// The position of the calling thread.
struct ForkJoin::Here {
  // The thread keeps the capacity of an empty `deferred` for its next region.
  void Swap(Here& other) {
    std::swap(pool, other.pool);
    std::swap(id, other.id);
    std::swap(in_region, other.in_region);
    std::swap(region, other.region);
    std::swap(slot, other.slot);
    if (!deferred.empty() || !other.deferred.empty()) deferred.swap(other.deferred);
  }

  const ForkJoin* pool = nullptr;
  int id = -1;
  bool in_region = false;
  Region* region = nullptr;  // null if all tasks of the region run here
  int slot = 0;
  std::vector<Task> deferred;  // forked but not offered: run here, after the task that forked them
};

}  // namespace savedmodel::engine
