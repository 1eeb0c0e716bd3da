// SPDX-License-Identifier: Apache-2.0
// Ends one run early: by its Cancellation or its deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

#include "savedmodel/cancellation.h"
#include "tensorflow/core/framework/cancellation.h"

namespace savedmodel::engine {

// Forwards a Cancellation to a run while it lasts.
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

// Cancels a run that lasts longer than `seconds`. One thread serves all runs.
class Deadline {
 public:
  Deadline(double seconds, tensorflow::CancellationManager* run);
  // Afterwards the run is not cancelled any more.
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  bool passed() const;

 private:
  using Queue = std::multimap<std::chrono::steady_clock::time_point, Deadline*>;
  struct Watch;
  tensorflow::CancellationManager* run_;
  bool passed_ = false;  // then it is no longer in the queue
  Queue::iterator place_;
};

}  // namespace savedmodel::engine
