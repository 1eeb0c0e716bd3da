// SPDX-License-Identifier: Apache-2.0
// Function::RunAsync: one job per call, which delivers exactly once however it ends.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "core/clock.h"
#include "core/exit.h"
#include "core/model_state.h"
#include "core/waiting_calls.h"
#include "core/with_errors.h"
#include "savedmodel/function.h"

namespace savedmodel {
namespace internal {
namespace {

using Clock = std::chrono::steady_clock;

thread_local const ModelState* delivering = nullptr;

class Job final : public PoolTask, public WaitingCall, public std::enable_shared_from_this<Job> {
 public:
  // Throws Error if the model is closed, or already has its maximum of waiting calls.
  Job(std::shared_ptr<const FunctionState> function, std::vector<Tensor> inputs, Function::Callback done,
      RunOptions options)
      : function_(std::move(function)),
        visit_(*function_->model),
        inputs_(std::move(inputs)),
        done_(std::move(done)),
        options_(std::move(options)) {
    ModelState& model = *function_->model;
    CheckOptions(function_->label, options_);
    timeout_ = options_.timeout ? options_.timeout : model.options.run.timeout;
    if (timeout_) {
      const Seconds longest = std::min<Seconds>(*timeout_, Seconds(1e9));
      until_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(longest);
    }
    if (model.waiting.fetch_add(1) < model.options.max_queue) return;
    --model.waiting;
    throw Error(Code::kResourceExhausted, function_->label + ": the queue of this model is full: " +
                                              std::to_string(model.options.max_queue) +
                                              " calls wait already (LoadOptions::max_queue)");
  }
  // A pool that has ended destroys its tasks.
  ~Job() override {
    if (Take()) Refuse(Code::kUnavailable, "the thread pool dropped the call");
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // From now on, a timeout or a cancellation ends the job in the queue.
  void Wait() {
    if (until_ == Clock::time_point::max() && options_.cancellation == nullptr) return;
    id_ = NewWaitingId();
    if (options_.cancellation) on_cancel_ = options_.cancellation->OnCancel([id = id_] { Hurry(id); });
    Watch(id_, weak_from_this(), until_);
    if (options_.cancellation && options_.cancellation->cancelled()) Hurry(id_);
  }

  void Run() noexcept override {
    if (!Take()) return;
    if (function_->model->options.counters) function_->bound->counters.LeftQueue(Ticks() - queued_);
    std::vector<Tensor> results;
    try {
      if (timeout_) {
        options_.timeout = Seconds(until_ - Clock::now());
        if (options_.timeout->count() <= 0) return Late();
      }
      WithErrors(function_->label, [&] { results.resize(function_->engine().outputs().size()); });
      RunInside(*function_, {inputs_, results, false, &options_, nullptr});
    } catch (const Error& error) {
      if (error.code() != Code::kDeadlineExceeded || !timeout_) return Deliver(&error, {});
      return DeliverError([&] { return LateError(""); });  // report the whole timeout, not the rest of it
    }
    Deliver(nullptr, std::move(results));
  }

  bool over() const noexcept override { return taken_; }

  void EndEarly() noexcept override {
    if (!Take()) return;
    function_->model->queue.Remove(this);
    if (options_.cancellation && options_.cancellation->cancelled()) {
      return Refuse(Code::kCancelled, "the run was cancelled");
    }
    Late();
  }

  // Delivers an error instead of being queued.
  void Fail(const char* why) {
    if (!Take()) return;
    DeliverError([&] {
      return Error(Code::kUnavailable, function_->label + ": the call could not be queued: " + why);
    });
  }

 private:
  // Returns true to exactly one caller, which then owns the job.
  bool Take() {
    if (taken_.exchange(true)) return false;
    --function_->model->waiting;
    if (on_cancel_ != 0) options_.cancellation->Forget(on_cancel_);
    if (id_ != 0) Unwatch(id_);
    return true;
  }
  Error LateError(const std::string& label) const {
    return Error(Code::kDeadlineExceeded,
                 label + "the call took longer than " + std::to_string(timeout_->count()) + " s");
  }
  void Late() noexcept {
    Count(Code::kDeadlineExceeded);
    DeliverError([&] { return LateError(function_->label + ": "); });
  }
  void Refuse(Code code, const char* why) noexcept {
    Count(code);
    DeliverError([&] { return Error(code, function_->label + ": " + why); });
  }
  void Count(Code code) const {
    if (function_->model->options.counters) function_->bound->counters.Failed(code, Ticks() - queued_);
  }
  // Calls back with the error that `make` returns, or with OutOfMemory.
  template <typename Make>
  void DeliverError(const Make& make) noexcept {
    try {
      Throw(function_->label, make);
    } catch (const Error& error) {
      Deliver(&error, {});
    }
  }
  // Ends the process if the callback throws.
  void Deliver(const Error* error, std::vector<Tensor> results) noexcept {
    inputs_.clear();
    // Destroy the callback's captures before the model may be closed.
    Function::Callback done = std::exchange(done_, nullptr);
    const ModelState* outer = SetDelivering(function_->model.get());
    done(error, std::move(results));
    done = nullptr;
    SetDelivering(outer);
    // A pool may keep its task for longer. Release the gate first, then the model, which waits for the gate.
    visit_.reset();
    function_.reset();
  }

  std::shared_ptr<const FunctionState> function_;
  std::optional<Visit> visit_;
  std::vector<Tensor> inputs_;
  Function::Callback done_;
  RunOptions options_;
  std::optional<Seconds> timeout_;
  Clock::time_point until_ = Clock::time_point::max();
  std::uint64_t id_ = 0;
  std::uint64_t on_cancel_ = 0;
  const std::uint64_t queued_ = Ticks();
  std::atomic<bool> taken_{false};
};

void Queue(const std::shared_ptr<Job>& job, ModelState& model) {
  job->Wait();
  if (ThreadPool* pool = model.options.thread_pool.get(); pool != nullptr) {
    pool->Schedule([job] { job->Run(); });
  } else {
    model.queue.Push(job);
  }
}

}  // namespace

const ModelState* Delivering() { return delivering; }
const ModelState* SetDelivering(const ModelState* model) { return std::exchange(delivering, model); }

}  // namespace internal

void Function::RunAsync(std::vector<Tensor> inputs, Callback done, RunOptions options) const {
  internal::CheckCallback(done != nullptr);
  std::shared_ptr<internal::Job> job;
  try {
    if (!state()->bound->called.load(std::memory_order_relaxed)) Prepare(*state_);
    job = internal::WithErrors(state_->label, [&] {
      return std::make_shared<internal::Job>(state_, std::move(inputs), done, std::move(options));
    });
  } catch (const Error& error) {
    internal::HoldAtExit();
    done(&error, {});
    return;
  }
  done = nullptr;
  // The job may end and release the model before the pool has returned.
  const std::shared_ptr<internal::ModelState> model = state_->model;
  try {
    Queue(job, *model);
  } catch (const std::exception& error) {
    job->Fail(error.what());
  }
}

}  // namespace savedmodel
