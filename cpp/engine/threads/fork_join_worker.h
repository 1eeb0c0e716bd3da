// SPDX-License-Identifier: Apache-2.0
// What fork_join.cc (callers) and fork_join_worker.cc (workers) share.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/threads/fork_join.h"

namespace savedmodel::engine {

// A worker's mail: nothing, a word, or the region (its number from 1) and slot where work is offered.
// It only says where to look; the work may be gone.
enum Mail : std::uint64_t { kNoMail = 0, kLooseMail = 1, kFirstRegionMail = 1U << 16 };

struct alignas(64) ForkJoin::Worker {
  explicit Worker(int number) : id(number) {}

  const int id;
  std::atomic<std::uint64_t> mail{kNoMail};  // it spins on its own line
  std::atomic<std::uint32_t> asleep{0};      // the futex that it sleeps on
  std::atomic<bool> spinning{false};

  alignas(64) std::mutex mutex;
  std::deque<Task> loose;       // guarded by the mutex
  std::atomic<int> waiting{0};  // its size, to be looked at without

  alignas(64) RunQueueDelay lost;
};

// Where the calling thread is.
struct ForkJoin::Here {
  // The room of an empty `deferred` stays with the thread, for its next region.
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
  Region* region = nullptr;  // null in a region whose tasks all run here
  int slot = 0;
  std::vector<Task> deferred;  // forked, and not offered: run here, after the task that forked them
};

}  // namespace savedmodel::engine
