// SPDX-License-Identifier: Apache-2.0
// INTERNAL. One request of a Batcher, and a batch of them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/batch/rows.h"
#include "core/model_state.h"
#include "core/waiting_calls.h"

namespace savedmodel::internal {

class BatchQueue;

// A function, and where its rows are.
struct BatchTarget {
  BatchTarget(std::shared_ptr<const FunctionState> made, const BatchOptions& options)
      : function(std::move(made)), layout(*function, options) {}
  const std::shared_ptr<const FunctionState> function;
  const BatchLayout layout;
};

struct BatchRequest : WaitingCall, std::enable_shared_from_this<BatchRequest> {
  using Clock = std::chrono::steady_clock;

  explicit BatchRequest(std::shared_ptr<const BatchTarget> served)
      : target(std::move(served)), visit(*target->function->model) {}
  void EndEarly() noexcept override;
  bool cancelled() const { return options.cancellation != nullptr && options.cancellation->cancelled(); }
  // Of a request that ends before it has run to its end.
  Error EarlyError(bool was_cancelled) const;

  // Constant once it has entered the queue.
  const std::shared_ptr<const BatchTarget> target;
  const Visit visit;  // the model answers it before it is closed
  std::vector<Tensor> inputs;
  std::size_t rows = 0;
  RunOptions options;
  Clock::time_point arrived, until = Clock::time_point::max();
  Function::Callback done;                  // null if a thread waits for it
  std::condition_variable* wake = nullptr;  // of that thread
  std::weak_ptr<BatchQueue> queue;
  std::uint64_t watch_id = 0, on_cancel = 0;

  std::atomic<bool> in_place{false};  // a run reads `inputs`, and ends by itself

  // Guarded by the queue's mutex.
  std::list<std::shared_ptr<BatchRequest>>::iterator place;
  bool entered = false;
  bool waits = false;          // at `place`: it has rows that no batch took
  bool ended = false;          // answered
  bool splits = false;         // batches take its rows in parts
  std::size_t taken = 0;       // rows that batches took
  std::size_t lacking = 0;     // rows without results
  int in_use = 0;              // batches that read `inputs`
  std::exception_ptr failure;  // of a part, while batches read the inputs
  std::exception_ptr error;
  std::vector<Tensor> results;
  std::mutex appending;  // guards `results` of a request in parts until it has all of them
};

struct Batch {
  struct Part {
    std::shared_ptr<BatchRequest> request;
    std::size_t begin, end;  // rows
    bool answered = false;
    bool is_whole() const { return end - begin == request->rows; }
  };
  std::vector<Part> parts;  // of requests for one target
  std::size_t rows = 0;
  bool counts = false;    // as one of those that run
  bool copied = false;    // the inputs are not read any more
  bool no_parts = false;  // its results can't be parted

  const BatchTarget& target() const { return *parts[0].request->target; }
};

// The element of BatchStatistics::sizes.
inline std::size_t SizeOf(std::size_t rows) {
  std::size_t size = 0;
  while (size + 1 < BatchStatistics::kSizes && (std::size_t{1} << size) < rows) ++size;
  return size;
}

}  // namespace savedmodel::internal
