// SPDX-License-Identifier: Apache-2.0
// Requests that run at once, in their own thread.
#include <optional>

#include "core/batch/queue.h"
#include "core/exit.h"

namespace savedmodel::internal {
namespace {

constexpr double kWakeUp = 20e-6;            // seconds: what it costs a thread to wait for another
constexpr std::uint64_t kMeasuredRuns = 32;  // one in so many beside the queue

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

bool BatchQueue::RunAtOnce(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options) {
  if (!options_.pad_to.empty() || options_.max_delay.count() > 0 ||
      (options != nullptr && (options->trace || !options->proto.empty()))) {
    return false;
  }
  const std::shared_ptr<const BatchTarget> target = CurrentTarget();
  const FunctionState& function = *target->function;
  if (target->layout.fixed_rows() || function.model->gate.closed()) return false;
  std::size_t rows = 0;
  try {
    rows = target->layout.Rows(inputs);
  } catch (const Error&) {
    Refused();
    HoldAtExit();
    throw;
  }
  if (options_.max_batch_size > 0 && rows > options_.max_batch_size) return false;
  std::optional<Visit> visit;
  try {
    visit.emplace(*function.model);
  } catch (const Error&) {  // closed; a newer version may have replaced it
    return false;
  }
  if (!function.bound->called.load(std::memory_order_relaxed)) Prepare(function);
  const auto run = [&] {
    RunInside(function, {inputs, outputs, false, options, nullptr});
    if (rows > 0) target->layout.CheckResults(outputs, rows);
  };
  const double saved = saving();
  const bool learns = function.bound->has_run.load(std::memory_order_relaxed);
  return saved >= 0 && saved < kWakeUp ? RunBeside(rows, run) : RunInSlot(rows, learns, run);
}

bool BatchQueue::RunInSlot(std::size_t rows, bool learns, const std::function<void()>& run) {
  Lock lock(mutex_);
  if (closed_ || !queue_.empty() || Full()) return false;
  ++running_;
  ++inside_;
  ++statistics_.requests;
  lock.unlock();
  const auto end = [&](double seconds) {
    lock.lock();
    --running_;
    if (seconds == 0) {
      ++statistics_.failed;
    } else {
      ++statistics_.batches;
      statistics_.rows += rows;
      ++statistics_.sizes[SizeOf(rows)];
      if (learns) Learn(rows, seconds);
    }
    Dispatch(&lock);
    if (--inside_ == 0 && closed_) idle_.notify_all();
  };
  const Clock::time_point begin = Clock::now();
  try {
    run();
  } catch (const Error&) {
    end(0);
    HoldAtExit();
    throw;
  }
  end(SecondsSince(begin));
  return true;
}

bool BatchQueue::RunBeside(std::size_t rows, const std::function<void()>& run) {
  if (!beside_.Enter()) return false;
  const bool measures = beside_begun_.fetch_add(1, std::memory_order_relaxed) % kMeasuredRuns == 0;
  const Clock::time_point begin = measures ? Clock::now() : Clock::time_point{};
  try {
    run();
  } catch (const Error&) {
    beside_failed_.fetch_add(1, std::memory_order_relaxed);
    beside_.Leave();
    HoldAtExit();
    throw;
  }
  beside_rows_.fetch_add(rows, std::memory_order_relaxed);
  beside_sizes_[SizeOf(rows)].fetch_add(1, std::memory_order_relaxed);
  if (measures) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Learn(rows, SecondsSince(begin));
  }
  beside_.Leave();
  return true;
}

}  // namespace savedmodel::internal
