// SPDX-License-Identifier: Apache-2.0
// Function::RunAsync: one job a call, which delivers in whatever way it ends.
#include <exception>
#include <memory>
#include <new>
#include <utility>

#include "core/model_state.h"
#include "core/shared_pool.h"
#include "savedmodel/function.h"

namespace savedmodel {
namespace internal {
namespace {

thread_local const ModelState* delivering = nullptr;

class Job {
 public:
  // Throws Error if the model is closed.
  Job(std::shared_ptr<const FunctionState> function, std::vector<Tensor> inputs, Function::Callback done,
      RunOptions options)
      : function_(std::move(function)),
        visit_(*function_->model),
        inputs_(std::move(inputs)),
        done_(std::move(done)),
        options_(std::move(options)) {}
  // A pool that has ended destroys its tasks.
  ~Job() {
    if (!done_) return;
    const Error dropped(Code::kUnavailable, function_->label + ": the thread pool did not run it");
    Deliver(&dropped, {});
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void Run() {
    std::vector<Tensor> results;
    try {
      results.resize(function_->engine().outputs().size());
      RunInside(*function_, {inputs_, results, false, &options_, nullptr});
    } catch (const Error& error) {
      return Deliver(&error, {});
    } catch (const std::bad_alloc&) {
      const Error error(Code::kResourceExhausted, function_->label + ": out of memory");
      return Deliver(&error, {});
    } catch (const std::exception& other) {
      const Error error(Code::kUnknown, function_->label + ": " + other.what());
      return Deliver(&error, {});
    }
    Deliver(nullptr, std::move(results));
  }

 private:
  // Ends the process if the callback throws.
  void Deliver(const Error* error, std::vector<Tensor> results) noexcept {
    inputs_.clear();
    // What it holds goes before the model may be closed.
    const Function::Callback done = std::exchange(done_, nullptr);
    const ModelState* outer = std::exchange(delivering, function_->model.get());
    done(error, std::move(results));
    delivering = outer;
  }

  // In the order in which they may go: the model last, and the gate, which it waits for, before it.
  const std::shared_ptr<const FunctionState> function_;
  const Visit visit_;
  std::vector<Tensor> inputs_;
  Function::Callback done_;
  RunOptions options_;
};

}  // namespace

const ModelState* Delivering() { return delivering; }

}  // namespace internal

void Function::RunAsync(std::vector<Tensor> inputs, Callback done, RunOptions options) const {
  if (!done) throw UsageError(UsageError::Kind::kArguments, "RunAsync needs a callback");
  std::shared_ptr<internal::Job> job;
  try {
    job = std::make_shared<internal::Job>(state_, std::move(inputs), done, std::move(options));
  } catch (const Error& error) {
    done(&error, {});
    return;
  }
  done = nullptr;
  ThreadPool* pool = state_->model->options.thread_pool.get();
  auto task = [job = std::move(job)] { job->Run(); };
  try {
    if (pool != nullptr) {
      pool->Schedule(std::move(task));
    } else {
      internal::ScheduleShared(std::move(task));
    }
  } catch (const std::exception&) {  // the task is gone, and its job has said so
  }
}

}  // namespace savedmodel
