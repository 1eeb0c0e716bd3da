// SPDX-License-Identifier: Apache-2.0
// The tasks of one parallel region, each on its own cache line. Regions live as long as the pool, so a worker
// may look at one that has ended; it finds nothing, or a task of the next region.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace savedmodel::engine {

struct alignas(64) RegionSlot {
  enum State : std::uint32_t {
    kFree,
    kFilling,
    kOffered,  // any thread may claim it
    kTaken,
    kTakenAndAwaited,  // the caller sleeps on `state`
  };
  std::atomic<std::uint32_t> state{kFree};
  std::function<void()> task;
};

// Slot 0 is the root. A task in slot i offers only to slots above i. So a caller that has seen slots 1 to i
// free knows that they stay free, and joins in one pass without a counter.
struct alignas(64) Region {
  Region(int position, int slots)
      : number(position),
        size(slots),
        slot(std::make_unique<RegionSlot[]>(static_cast<std::size_t>(slots))) {}

  RegionSlot& at(int index) const { return slot[static_cast<std::size_t>(index)]; }

  const int number;  // its number in the pool, from 1
  const int size;
  const std::unique_ptr<RegionSlot[]> slot;
  int width = 0;  // workers that may be notified; written by its caller before the first offer
  int first = 0;  // the worker that is notified of slot 1
  alignas(64) std::atomic<bool> in_use{false};
};

}  // namespace savedmodel::engine
