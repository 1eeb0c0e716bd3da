// SPDX-License-Identifier: Apache-2.0
// The tasks of one parallel region, each on a cache line of its own. Regions are never freed while the
// pool lives, so that a worker may look at one that has ended; it finds nothing, or a task of the next.
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
    kOffered,  // anyone may claim it
    kTaken,
    kTakenAndAwaited,  // the caller sleeps on `state`
  };
  std::atomic<std::uint32_t> state{kFree};
  std::function<void()> task;
};

// Slot 0 stands for the root. A task in slot i offers only to slots above i: the caller that has seen slots
// 1 to i free knows that they stay so, and joins in one pass without any counter.
struct alignas(64) Region {
  Region(int position, int slots)
      : number(position),
        size(slots),
        slot(std::make_unique<RegionSlot[]>(static_cast<std::size_t>(slots))) {}

  RegionSlot& at(int index) const { return slot[static_cast<std::size_t>(index)]; }

  const int number;  // among the pool's, from 1
  const int size;
  const std::unique_ptr<RegionSlot[]> slot;
  int width = 0;  // workers that may be told of it; written by its caller before the first offer
  int first = 0;  // the worker that is told of slot 1
  alignas(64) std::atomic<bool> in_use{false};
};

}  // namespace savedmodel::engine
