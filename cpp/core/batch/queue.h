// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The requests of a Batcher, and who runs them when.
//
// A request runs at once, in its own thread, if no other waits and fewer than max_concurrent batches run, or
// if to wait for another thread would cost more than joining saves. All others wait in the queue; pool
// threads make batches of what waits when a run can begin. With max_delay, they are held for others first.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "core/batch/cost.h"
#include "core/batch/request.h"
#include "core/batch/rows.h"
#include "core/run_gate.h"
#include "savedmodel/batcher.h"

namespace savedmodel::internal {

class BatchQueue : public std::enable_shared_from_this<BatchQueue> {
 public:
  // `source` returns the function for a request that comes now; always the same unless it `watches`.
  BatchQueue(std::function<Function()> source, bool watches, BatchOptions options);
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  void WarmUp();
  void Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options);
  void RunAsync(std::vector<Batcher::Request> requests, Seconds here);
  Function CurrentFunction();
  BatchStatistics Statistics();
  double saving() const { return saving_.load(std::memory_order_relaxed); }
  void Close();
  // Ends a request whose time is over, or that was cancelled.
  void EndEarly(BatchRequest& request);

 private:
  using Clock = BatchRequest::Clock;
  using Lock = std::unique_lock<std::mutex>;
  using Request = std::shared_ptr<BatchRequest>;
  struct PoolWork;
  struct HoldTimer;

  // queue.cc
  std::shared_ptr<const BatchTarget> CurrentTarget();
  Request Admit(std::vector<Tensor> inputs, RunOptions options);
  void Enter(const Request& request);  // throws Error if the queue is full or closed
  // `stop` ends its run on Ctrl-C.
  void Wait(Lock* lock, BatchRequest& request, Cancellation* stop);
  // Ends a request early, if no batch reads its inputs.
  bool Expire(Lock* lock, BatchRequest& request, bool cancelled);
  // Ends a request; true if it is to be called back.
  bool End(BatchRequest& request, std::exception_ptr error);
  // Calls back without the lock.
  void CallBack(Lock* lock, Span<const Request> requests);
  void Remove(BatchRequest& request);
  void Refused();

  // alone.cc
  // Runs a request in this thread, without a BatchRequest. False if it has to wait, or needs more care.
  bool RunAtOnce(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options);
  bool RunInSlot(std::size_t rows, bool learns, const std::function<void()>& run);
  bool RunBeside(std::size_t rows, const std::function<void()>& run);

  // schedule.cc
  bool Full() const { return running_ >= (is_tiny_ ? 1 : concurrent_); }
  // Until when the next run waits for more requests; in the past if it does not.
  Clock::time_point HeldUntil() const;
  bool MayRun() const;
  std::size_t Joinable(std::size_t limit) const;
  std::size_t LimitOf(const BatchRequest& head) const;
  Batch Take();
  void TakePart(BatchRequest& request, std::size_t rows, Clock::time_point now, Batch* batch);
  // Runs one batch in this thread; `own` is the request that it waits for.
  void Lead(Lock* lock, const BatchRequest* own);
  // Has a thread run what waits.
  void Dispatch(Lock* lock);
  void Work();
  void Dropped();
  void HoldEnds();
  void Learn(std::size_t rows, double seconds);

  // run.cc
  std::size_t Padded(const BatchTarget& target, std::size_t rows) const;
  void RunBatch(Batch batch, const BatchRequest* own);
  void RunRows(Batch* batch);
  RunOptions OptionsOf(const Batch& batch) const;
  // They were copied, or are read by the run.
  void InputsRead(Batch* batch, bool in_place);
  void Ran(Batch* batch, std::size_t rows, double seconds);
  void Failed(Batch* batch, const BatchRequest* own, const std::exception_ptr& error, Code code);
  void RunHalves(Batch* batch, const BatchRequest* own);
  bool PutBack(const Batch& batch, const Batch::Part& part);
  // The results of each part, or the error.
  void Answer(Batch* batch, std::vector<std::vector<Tensor>> results, const std::exception_ptr& error);
  std::exception_ptr Append(const Batch::Part& part, const std::vector<Tensor>& results);
  double Measure(const BatchTarget& target, const std::vector<Tensor>& row, std::size_t rows) const;

  const std::function<Function()> source_;
  const BatchOptions options_;
  const std::uint32_t fork_generation_;
  const int concurrent_;
  const std::shared_ptr<BatchBuffers> buffers_ = std::make_shared<BatchBuffers>();

  const bool watches_;
  std::mutex target_mutex_;  // guards `target_` if the source watches
  std::shared_ptr<const BatchTarget> target_;

  // Requests that waiting would cost more than joining saves run beside the queue.
  RunGate beside_;
  std::atomic<std::uint64_t> beside_begun_{0}, beside_rows_{0}, beside_failed_{0};
  std::array<std::atomic<std::uint64_t>, BatchStatistics::kSizes> beside_sizes_{};

  std::mutex mutex_;  // guards the members below
  std::list<Request> queue_;
  std::size_t limit_;  // rows of a batch
  BatchCost cost_;
  int running_ = 0;         // batches
  bool is_tiny_ = false;    // a run ends before another thread could begin one
  std::size_t inside_ = 0;  // requests that are not answered
  bool closed_ = false;
  std::condition_variable idle_;  // Close waits for it
  bool posted_ = false;           // a pool task, which has not begun
  Clock::time_point posted_at_;
  std::shared_ptr<WaitingCall> hold_timer_;  // set during a hold
  std::size_t taken_ = 0;                    // batches
  BatchStatistics statistics_;
  std::atomic<double> saving_{-1};  // seconds, of a row in a batch; negative if not known
};

// The queue whose callback the calling thread is in; else null.
const BatchQueue* CallingBack();

}  // namespace savedmodel::internal
