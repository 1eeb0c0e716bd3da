// SPDX-License-Identifier: Apache-2.0
// Requests: from the door to the answer.
#include "core/batch/queue.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "core/exit.h"
#include "core/runtime.h"
#include "core/shared_pool.h"
#include "core/with_errors.h"
#include "savedmodel/interrupt.h"

namespace savedmodel::internal {
namespace {

constexpr int kAttempts = 3;                  // while versions switch
constexpr std::size_t kUnmeasuredLimit = 64;  // rows of a batch
constexpr std::chrono::milliseconds kInterruptCheck(50), kCopying(1), kPoolIsBusy(2), kLook(20);

thread_local const BatchQueue* calling_back = nullptr;

// So that a cancellation or the end of its time ends a request that waits.
void WatchRequest(const std::shared_ptr<BatchRequest>& request) {
  const bool timed = request->until != BatchRequest::Clock::time_point::max();
  const auto& cancellation = request->options.cancellation;
  if (!timed && cancellation == nullptr) return;
  const std::uint64_t id = NewWaitingId();
  if (timed) Watch(request->watch_id = id, request, request->until);
  if (cancellation == nullptr) return;
  request->on_cancel = cancellation->OnCancel([id, timed, weak = std::weak_ptr<WaitingCall>(request)] {
    if (timed) return Hurry(id);
    try {
      Watch(id, weak, BatchRequest::Clock::time_point::min());
    } catch (const std::exception&) {  // no thread can be started: the run ends by itself
    }
  });
}

void UnwatchRequest(BatchRequest& request) {
  if (request.on_cancel != 0) request.options.cancellation->Forget(request.on_cancel);
  if (request.watch_id != 0) Unwatch(request.watch_id);
}

void CallBackOf(const BatchQueue* queue, BatchRequest& request) noexcept {
  Function::Callback done = std::exchange(request.done, nullptr);
  const BatchQueue* const outer = std::exchange(calling_back, queue);
  const ModelState* const outer_model = SetDelivering(request.target->function->model.get());
  if (request.error == nullptr) {
    done(nullptr, std::move(request.results));
  } else {
    try {
      std::rethrow_exception(request.error);
    } catch (const Error& error) {
      done(&error, {});
    }
  }
  done = nullptr;  // with what it holds
  SetDelivering(outer_model);
  calling_back = outer;
}

}  // namespace

const BatchQueue* CallingBack() { return calling_back; }

Error BatchRequest::EarlyError(bool was_cancelled) const {
  const std::string& label = target->function->label;
  if (was_cancelled) return Error(Code::kCancelled, label + ": the run was cancelled");
  return Error(Code::kDeadlineExceeded,
               label + ": the call took longer than " + std::to_string(options.timeout->count()) + " s");
}

void BatchRequest::EndEarly() noexcept {
  if (const auto owner = queue.lock()) owner->EndEarly(*this);
}

BatchQueue::BatchQueue(std::function<Function()> source, bool watches, BatchOptions options)
    : source_(std::move(source)),
      options_(std::move(options)),
      fork_generation_(ForkGeneration()),
      concurrent_(options_.max_concurrent > 0 ? options_.max_concurrent : UsableCpus()),
      watches_(watches),
      limit_(options_.max_batch_size > 0 ? options_.max_batch_size : kUnmeasuredLimit) {
  if (!options_.pad_to.empty()) limit_ = options_.pad_to.back();
  (void)CurrentTarget();
}

std::shared_ptr<const BatchTarget> BatchQueue::CurrentTarget() {
  if (!watches_ && target_ != nullptr) return target_;
  Function function;
  for (int attempt = 0; !function; ++attempt) {
    try {
      function = source_();
    } catch (const Error& error) {  // a version that was replaced meanwhile
      if (!watches_ || error.code() != Code::kFailedPrecondition || attempt == kAttempts) throw;
    }
  }
  const auto& state = FunctionState::Of(function);
  const std::lock_guard<std::mutex> lock(target_mutex_);
  if (target_ != nullptr && target_->function->bound == state->bound) return target_;
  auto made = std::make_shared<const BatchTarget>(state, options_);
  if (target_ != nullptr && !made->layout.IsLike(target_->layout)) {
    throw Error(Code::kFailedPrecondition,
                state->label + " of '" + state->model->path +
                    "' has other inputs or outputs than the version before: start another batcher");
  }
  target_ = std::move(made);
  return target_;
}

Function BatchQueue::CurrentFunction() {
  return FunctionState::Handle(std::const_pointer_cast<FunctionState>(CurrentTarget()->function));
}

BatchQueue::Request BatchQueue::Admit(std::vector<Tensor> inputs, RunOptions options) {
  Request request;
  for (int attempt = 0;; ++attempt) {
    const auto target = CurrentTarget();
    try {
      request = std::make_shared<BatchRequest>(target);
      break;
    } catch (const Error&) {  // closed; a newer version may have replaced it
      if (attempt == kAttempts || CurrentTarget() == target) throw;
    }
  }
  const FunctionState& function = *request->target->function;
  if (!function.bound->called.load(std::memory_order_relaxed)) Prepare(function);
  CheckOptions(function.label, options);
  if (options.trace || !options.proto.empty()) {
    throw UsageError(UsageError::Kind::kArguments,
                     function.label + ": requests of a batch have no trace and no tensorflow.RunOptions");
  }
  request->rows = request->target->layout.Rows(inputs);
  request->inputs = std::move(inputs);
  request->arrived = Clock::now();
  if (!options.timeout) options.timeout = function.model->options.run.timeout;
  if (options.timeout) {
    const Seconds longest = std::min<Seconds>(*options.timeout, Seconds(1e9));
    request->until = request->arrived + std::chrono::duration_cast<Clock::duration>(longest);
  }
  request->options = std::move(options);
  request->queue = weak_from_this();
  return request;
}

void BatchQueue::Enter(const Request& request) {
  const std::string& label = request->target->function->label;
  if (closed_) throw Error(Code::kFailedPrecondition, label + ": the batcher is closed");
  if (queue_.size() >= options_.max_queue) {
    throw Error(Code::kResourceExhausted,
                label + ": the batcher's queue is full: " + std::to_string(options_.max_queue) +
                    " requests wait already (max_queue)");
  }
  queue_.push_back(request);
  request->place = std::prev(queue_.end());
  request->entered = request->waits = true;
  request->lacking = request->rows;
  ++inside_;
  ++statistics_.requests;
}

void BatchQueue::Refused() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++statistics_.requests;
  ++statistics_.refused;
}

void BatchQueue::Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options) {
  if (fork_generation_ != ForkGeneration()) CheckUsableAfterFork();
  if (RunAtOnce(inputs, outputs, options)) return;
  thread_local std::condition_variable wake;
  Request request;
  try {
    request = Admit({inputs.begin(), inputs.end()}, options == nullptr ? RunOptions{} : *options);
    const std::size_t wanted = request->target->function->engine().outputs().size();
    if (outputs.size() != wanted) {
      throw UsageError(UsageError::Kind::kArguments, request->target->function->label + " needs " +
                                                         std::to_string(wanted) + " output tensors, got " +
                                                         std::to_string(outputs.size()));
    }
    request->wake = &wake;
    std::shared_ptr<Cancellation> stop;  // the request's own, for Ctrl-C
    if (request->options.cancellation != nullptr) {
      WatchRequest(request);
    } else if (GetInterruptCheck() != nullptr) {
      request->options.cancellation = stop = std::make_shared<Cancellation>();
    }
    Lock lock(mutex_);
    Enter(request);
    Wait(&lock, *request, stop.get());
  } catch (const Error&) {
    if (request != nullptr) UnwatchRequest(*request);
    Refused();
    HoldAtExit();
    throw;
  }
  UnwatchRequest(*request);
  if (request->error != nullptr) {
    HoldAtExit();
    std::rethrow_exception(request->error);
  }
  std::move(request->results.begin(), request->results.end(), outputs.begin());
}

// Returns when the request has ended. If the pool is too busy to begin with it, its thread runs the batch.
void BatchQueue::Wait(Lock* lock, BatchRequest& request, Cancellation* stop) {
  const InterruptCheck check = GetInterruptCheck();
  bool interrupted = false;
  Clock::time_point next_check = Clock::now() + kInterruptCheck;
  Dispatch(lock);
  while (!request.ended) {
    const Clock::time_point now = Clock::now();
    const bool late = now >= request.until;
    if ((late || interrupted || request.cancelled()) && Expire(lock, request, !late)) continue;
    // In a callback the thread may have a run's slot itself.
    const bool pool_is_busy = posted_ && now - posted_at_ > kPoolIsBusy && MayRun();
    if (request.waits && (pool_is_busy || CallingBack() == this)) {
      Lead(lock, &request);
      continue;
    }
    if (request.waits && !posted_) Dispatch(lock);
    if (request.ended) break;
    Clock::time_point until = late || interrupted ? now + kCopying : request.until;
    if (request.waits) until = std::min(until, now + kLook);
    if (check != nullptr && !interrupted) until = std::min(until, next_check);
    if (until == Clock::time_point::max()) {  // which wait_until can't take
      request.wake->wait(*lock);
    } else {
      request.wake->wait_until(*lock, until);
    }
    if (check == nullptr || request.ended || interrupted || Clock::now() < next_check) continue;
    next_check = Clock::now() + kInterruptCheck;
    lock->unlock();
    interrupted = check();
    if (interrupted && stop != nullptr) stop->Cancel();
    lock->lock();
  }
}

void BatchQueue::RunAsync(std::vector<Batcher::Request> given, Seconds here) {
  if (fork_generation_ != ForkGeneration()) {  // the parent's threads may hold the lock for good
    try {
      CheckUsableAfterFork();
    } catch (const Error& error) {
      for (Batcher::Request& one : given) one.done(&error, {});
    }
    return;
  }
  std::vector<std::pair<Function::Callback, std::exception_ptr>> refused;
  std::vector<Request> admitted;
  for (Batcher::Request& one : given) {
    try {
      Request request = WithErrors("a batch", [&] {
        Request made = Admit(std::move(one.inputs), std::move(one.options));
        WatchRequest(made);
        return made;
      });
      request->done = std::move(one.done);
      admitted.push_back(std::move(request));
    } catch (const Error&) {
      Refused();
      refused.emplace_back(std::move(one.done), std::current_exception());
    }
  }
  Lock lock(mutex_);
  for (const Request& request : admitted) {
    try {
      Enter(request);
      // A request that ended before it had entered was not noticed.
      const bool cancelled = request->cancelled();
      if (cancelled || request->until <= Clock::now()) Expire(&lock, *request, cancelled);
    } catch (const Error&) {
      ++statistics_.requests;
      ++statistics_.refused;
      refused.emplace_back(std::move(request->done), std::current_exception());
    }
  }
  while (here.count() > 0 && MayRun()) {
    const double seconds = cost_.Seconds(cost_.Best(Joinable(LimitOf(*queue_.front()))));
    if (seconds == 0 || seconds > here.count()) break;
    here = Seconds(here.count() - seconds);
    Lead(&lock, nullptr);
  }
  Dispatch(&lock);
  lock.unlock();
  for (const Request& request : admitted) {
    if (!request->entered) UnwatchRequest(*request);
  }
  if (!refused.empty()) HoldAtExit();
  for (auto& [done, error] : refused) {
    try {
      std::rethrow_exception(error);
    } catch (const Error& why) {
      done(&why, {});
    }
  }
}

void BatchQueue::Remove(BatchRequest& request) {
  if (!request.waits) return;
  request.waits = false;
  queue_.erase(request.place);
}

bool BatchQueue::Expire(Lock* lock, BatchRequest& request, bool cancelled) {
  if (!request.entered || request.ended) return request.ended;
  if (request.in_use > 0) return false;
  const Request kept = request.shared_from_this();
  Remove(request);
  if (End(request, std::make_exception_ptr(request.EarlyError(cancelled)))) CallBack(lock, {&kept, 1});
  return true;
}

void BatchQueue::EndEarly(BatchRequest& request) {
  Lock lock(mutex_);
  // A batch that copies the inputs will have done so soon.
  while (!Expire(&lock, request, request.cancelled()) && request.entered && !request.in_place) {
    lock.unlock();
    std::this_thread::sleep_for(kCopying);
    lock.lock();
  }
}

bool BatchQueue::End(BatchRequest& request, std::exception_ptr error) {
  request.ended = true;
  request.error = std::move(error);
  if (request.error != nullptr) ++statistics_.failed;
  if (request.wake == nullptr) return true;
  request.wake->notify_one();
  if (--inside_ == 0) idle_.notify_all();
  return false;
}

void BatchQueue::CallBack(Lock* lock, Span<const Request> requests) {
  if (requests.empty()) return;
  lock->unlock();
  for (const Request& request : requests) {
    UnwatchRequest(*request);
    CallBackOf(this, *request);
  }
  std::vector<std::vector<Tensor>> inputs(
      requests.size());  // freed without the lock: their owners may call us
  lock->lock();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests[i]->in_use == 0) inputs[i].swap(requests[i]->inputs);
  }
  lock->unlock();
  inputs.clear();
  lock->lock();
  inside_ -= requests.size();
  if (inside_ == 0) idle_.notify_all();
}

BatchStatistics BatchQueue::Statistics() {
  if (fork_generation_ != ForkGeneration()) CheckUsableAfterFork();
  const std::lock_guard<std::mutex> lock(mutex_);
  BatchStatistics statistics = statistics_;
  const std::uint64_t failed = beside_failed_;
  statistics.requests += failed;
  statistics.failed += failed;
  statistics.rows += beside_rows_;
  for (std::size_t i = 0; i < beside_sizes_.size(); ++i) {
    const std::uint64_t runs = beside_sizes_[i];
    statistics.requests += runs;
    statistics.batches += runs;
    statistics.sizes[i] += runs;
  }
  statistics.waiting = queue_.size();
  statistics.seconds = cost_.Points();
  return statistics;
}

void BatchQueue::Close() {
  if (fork_generation_ != ForkGeneration()) return;
  if (CallingBack() == this) {
    throw Error(Code::kFailedPrecondition,
                "a callback of a batch can't close its batcher: Close waits for the callback");
  }
  beside_.Shut();
  beside_.Wait();
  Lock lock(mutex_);
  closed_ = true;
  Dispatch(&lock);
  idle_.wait(lock, [this] { return inside_ == 0; });
}

}  // namespace savedmodel::internal
