// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "savedmodel/duration.h"
#include "savedmodel/export.h"
#include "savedmodel/function.h"
#include "savedmodel/watched.h"

namespace savedmodel {

namespace internal {
class BatchQueue;
}  // namespace internal

// Everything has a measured or safe default.
struct BatchOptions {
  // The most rows of a batch; a request with more is run in parts. 0: measured, the size beyond which a row
  // gets no cheaper. A model with a fixed number of rows has batches of that size.
  std::size_t max_batch_size = 0;
  // The longest time that requests wait for others to join them although a run could begin. A batch of
  // max_batch_size rows begins at once.
  Seconds max_delay = 0.0;
  // The sizes that batches have: one is filled up to the next with copies of its last row. Empty: any size.
  std::vector<std::size_t> pad_to;
  // By input: a scalar of its type. Shorter requests are filled up with it along all axes but that of the
  // rows, so that requests of different shapes join. An axis of a result that got the size of a padded one is
  // cut back, if the signature leaves its size open.
  std::map<std::string, Tensor> pad_value;
  // By input and output: the axis of the rows. 0 for all others.
  std::map<std::string, int> batch_axis;
  std::size_t max_queue = 4096;  // the most requests that wait; one more ends with kResourceExhausted
  int max_concurrent = 0;        // the most runs at a time; 0: one for each CPU that the process may use
  // Measures batches of 1, 2, 4, ... rows in Start, of `sample` (inputs with one row or more), or of made-up
  // rows, if the model runs them. What is not measured is learned from the requests.
  bool warm_up = true;
  std::vector<Tensor> sample;
};

struct SAVEDMODEL_API BatchStatistics {
  static constexpr std::size_t kSizes = 16;

  std::uint64_t requests = 0;  // that came in, with those refused
  std::uint64_t refused = 0;   // at the door: of wrong shape, or the queue was full
  std::uint64_t failed = 0;    // after it
  std::uint64_t batches = 0;   // runs
  std::uint64_t rows = 0;      // in them, without padding
  std::uint64_t padded_rows = 0;
  std::uint64_t retries = 0;  // runs of a part of a batch that failed
  std::size_t waiting = 0;    // requests in the queue now
  double queue_seconds = 0;   // that requests waited, in all
  // Batches by rows, padding included: element i counts those of more than 2^(i-1) and at most 2^i rows, the
  // last one all larger ones.
  std::array<std::uint64_t, kSizes> sizes{};
  std::map<std::size_t, double> seconds;  // measured duration of a run by rows
};

// Joins requests for one function that come at the same time from many threads into batches, and gives each
// its own rows of the results. A request that comes while a run could begin runs at once, in its own thread;
// those that wait for one join in the pool of RunAsync, as many as make a row cheaper, which is measured.
// Where waiting for another thread costs more than joining saves, Run never waits. Results are views on those
// of the batch.
//
// The function has to compute each row from the same row of its inputs alone, and to write no variable.
// A batch that fails is run again in parts, so that only the request at fault fails.
//
// A handle: copies share it. Thread-safe. All methods throw Error: kFailedPrecondition after Close, and in a
// forked child.
class SAVEDMODEL_API Batcher {
 public:
  Batcher() = default;  // empty, like a moved-from one: all else throws kFailedPrecondition
  bool valid() const noexcept { return queue_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }

  // Throws UsageError for invalid options, and if an input or output has no axis for rows.
  [[nodiscard]] static Batcher Start(const Function& function, BatchOptions options = {});
  // The same for whatever version of a model is the newest when a request comes.
  [[nodiscard]] static Batcher Start(const Watched& watched, const std::string& signature,
                                     std::vector<std::string> outputs = {}, BatchOptions options = {});

  // As Function::Run, for a request of any number of rows. Throws Error also with kResourceExhausted if the
  // queue is full.
  Results Run(Span<const Tensor> inputs, const RunOptions& options = {}) const;
  Results Run(std::initializer_list<Tensor> inputs, const RunOptions& options = {}) const {
    return Run(Span<const Tensor>(inputs.begin(), inputs.size()), options);
  }
  void Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options = nullptr) const;

  // As Function::RunAsync; `done` may be called in another caller's thread as well.
  void RunAsync(std::vector<Tensor> inputs, Function::Callback done, RunOptions options = {}) const;

  struct Request {
    std::vector<Tensor> inputs;
    Function::Callback done;
    RunOptions options;
  };
  // Several at once, for an event loop: what can run now and is known to take no longer than `here` runs in
  // the calling thread.
  void RunAsync(std::vector<Request> requests, Seconds here = 0.0) const;

  // That of the newest version.
  Function function() const;
  BatchStatistics Statistics() const;
  // The time that a row was measured to save in a batch; 0 if it is hardly any, or not known.
  Seconds Saving() const;
  // Lets no more requests in, and waits for those that are in.
  void Close();

 private:
  explicit Batcher(std::shared_ptr<internal::BatchQueue> queue) : queue_(std::move(queue)) {}
  internal::BatchQueue& queue() const;
  std::shared_ptr<internal::BatchQueue> queue_;
};

}  // namespace savedmodel
