// SPDX-License-Identifier: Apache-2.0
// What can end one run early: its Cancellation, its deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

#include "savedmodel/cancellation.h"
#include "tensorflow/core/framework/cancellation.h"

namespace savedmodel::engine {

// Passes a Cancellation's word on to a run for as long as it lasts.
class LinkedCancellation {
 public:
  // Both may be null.
  LinkedCancellation(Cancellation* source, tensorflow::CancellationManager* run);
  ~LinkedCancellation();
  LinkedCancellation(const LinkedCancellation&) = delete;
  LinkedCancellation& operator=(const LinkedCancellation&) = delete;

 private:
  Cancellation* source_;
  std::uint64_t id_ = 0;
};

// Cancels a run that lasts longer than `seconds`. One thread watches over all of them.
class Deadline {
 public:
  Deadline(double seconds, tensorflow::CancellationManager* run);
  // After it, the run is left alone.
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  bool passed() const;

 private:
  using Queue = std::multimap<std::chrono::steady_clock::time_point, Deadline*>;
  struct Watch;
  tensorflow::CancellationManager* run_;
  bool passed_ = false;  // and then no longer in the queue
  Queue::iterator place_;
};

}  // namespace savedmodel::engine
