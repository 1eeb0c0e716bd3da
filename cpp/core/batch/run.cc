// SPDX-License-Identifier: Apache-2.0
// Runs of batches, and of their parts if they fail.
#include <algorithm>
#include <utility>

#include "core/batch/queue.h"
#include "core/with_errors.h"
#include "savedmodel/interrupt.h"

namespace savedmodel::internal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxMeasuredRows = 1024, kMaxMeasuredBytes = std::size_t{256} << 20;
constexpr int kMaxRuns = 5;
constexpr double kSizeSeconds = 0.03, kLongestRun = 0.5, kAllSeconds = 2;
constexpr double kGain = 1.03;  // in rows per second, of twice the rows
constexpr int kNoGains = 2;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Code CodeOf(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& thrown) {
    return thrown.code();
  }
}

std::vector<BatchPart> PartsOf(const Batch& batch) {
  std::vector<BatchPart> parts;
  parts.reserve(batch.parts.size());
  for (const Batch::Part& part : batch.parts) parts.push_back({&part.request->inputs, part.begin, part.end});
  return parts;
}

}  // namespace

std::size_t BatchQueue::Padded(const BatchTarget& target, std::size_t rows) const {
  if (rows == 0) return rows;
  if (const auto fixed = target.layout.fixed_rows()) return *fixed;
  const auto next = std::lower_bound(options_.pad_to.begin(), options_.pad_to.end(), rows);
  return next == options_.pad_to.end() ? rows : *next;
}

RunOptions BatchQueue::OptionsOf(const Batch& batch) const {
  RunOptions options;
  Clock::time_point until = Clock::time_point::min();
  for (const Batch::Part& part : batch.parts) until = std::max(until, part.request->until);
  if (until != Clock::time_point::max()) {
    options.timeout = Seconds(std::max(std::chrono::duration<double>(until - Clock::now()).count(), 1e-9));
  }
  if (!batch.copied) options.cancellation = batch.parts[0].request->options.cancellation;
  return options;
}

void BatchQueue::RunBatch(Batch batch, const BatchRequest* own) {
  try {
    WithErrors(batch.target().function->label, [&] { RunRows(&batch); });
  } catch (const Error& error) {
    Failed(&batch, own, std::current_exception(), error.code());
  }
  if (!batch.counts) return;
  Lock lock(mutex_);
  --running_;
  if (own != nullptr) Dispatch(&lock);  // others look for the next batch themselves
}

void BatchQueue::RunRows(Batch* batch) {
  const BatchTarget& target = batch->target();
  const FunctionState& function = *target.function;
  const Clock::time_point begin = Clock::now();
  const std::size_t rows = Padded(target, batch->rows);
  const bool as_given = batch->parts.size() == 1 && batch->parts[0].is_whole() && rows == batch->rows;
  if (rows < batch->rows) {
    throw Error(Code::kInternal, "a batch of " + std::to_string(batch->rows) + " rows does not fit into " +
                                     std::to_string(rows));
  }
  std::vector<Tensor> joined;
  if (!as_given) joined = target.layout.Join(PartsOf(*batch), rows, buffers_);
  InputsRead(batch, as_given);
  std::vector<Tensor> results(function.engine().outputs().size());
  const RunOptions options = OptionsOf(*batch);
  const bool is_first = !function.bound->has_run.load(std::memory_order_relaxed);
  RunInside(function,
            {as_given ? batch->parts[0].request->inputs : joined, results, false, &options, nullptr});
  batch->no_parts = true;
  if (rows > 0) target.layout.CheckResults(results, rows);
  batch->no_parts = false;
  Ran(batch, rows, is_first ? 0 : SecondsSince(begin));
  std::vector<std::vector<Tensor>> own(batch->parts.size());
  if (as_given) {
    own[0] = std::move(results);
  } else {
    std::size_t at = 0;
    for (std::size_t i = 0; i < own.size(); ++i) {
      const Batch::Part& part = batch->parts[i];
      const BatchPart rows_of{&part.request->inputs, part.begin, part.end};
      own[i] = target.layout.Rows(results, at, rows_of, joined);
      at += rows_of.rows();
    }
  }
  Answer(batch, std::move(own), nullptr);
}

void BatchQueue::InputsRead(Batch* batch, bool in_place) {
  if (in_place) {
    batch->parts[0].request->in_place = true;
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Batch::Part& part : batch->parts) --part.request->in_use;
  batch->copied = true;
}

// The next batch begins before this one's requests are answered, if it is worth another thread.
void BatchQueue::Ran(Batch* batch, std::size_t rows, double seconds) {
  Lock lock(mutex_);
  ++statistics_.batches;
  statistics_.rows += batch->rows;
  statistics_.padded_rows += rows - batch->rows;
  ++statistics_.sizes[SizeOf(rows)];
  if (seconds > 0) Learn(rows, seconds);
  if (!batch->counts) return;
  if (is_tiny_) return;  // another thread would begin with the first row that comes
  batch->counts = false;
  --running_;
  Dispatch(&lock);
}

void BatchQueue::Answer(Batch* batch, std::vector<std::vector<Tensor>> results,
                        const std::exception_ptr& error) {
  std::vector<std::exception_ptr> errors(batch->parts.size(), error);
  for (std::size_t i = 0; i < batch->parts.size(); ++i) {
    const Batch::Part& part = batch->parts[i];
    if (error == nullptr && !part.is_whole()) errors[i] = Append(part, results[i]);
  }
  std::vector<Request> ended;
  Lock lock(mutex_);
  for (std::size_t i = 0; i < batch->parts.size(); ++i) {
    Batch::Part& part = batch->parts[i];
    BatchRequest& request = *part.request;
    if (std::exchange(part.answered, true)) continue;
    if (!batch->copied) --request.in_use;
    request.lacking -= part.end - part.begin;
    if (request.ended) continue;
    if (errors[i] != nullptr && request.failure == nullptr) {
      const bool late = CodeOf(errors[i]) == Code::kDeadlineExceeded && request.options.timeout;
      request.failure = late ? std::make_exception_ptr(request.EarlyError(false)) : errors[i];
      Remove(request);
    }
    // The caller may free its inputs when the request has ended.
    if (request.failure != nullptr ? request.in_use > 0 : request.lacking > 0) continue;
    if (request.failure == nullptr && part.is_whole()) request.results = std::move(results[i]);
    if (End(request, request.failure)) ended.push_back(part.request);
  }
  CallBack(&lock, ended);
}

std::exception_ptr BatchQueue::Append(const Batch::Part& part, const std::vector<Tensor>& results) {
  BatchRequest& request = *part.request;
  const std::lock_guard<std::mutex> appending(request.appending);
  try {
    WithErrors(request.target->function->label,
               [&] { request.target->layout.Append(results, part.begin, request.rows, &request.results); });
  } catch (const Error&) {
    return std::current_exception();
  }
  return nullptr;
}

// True if another thread will run it.
bool BatchQueue::PutBack(const Batch& batch, const Batch::Part& part) {
  Lock lock(mutex_);
  BatchRequest& request = *part.request;
  if (request.ended || !part.is_whole()) return false;
  if (!batch.copied) --request.in_use;
  request.taken = 0;
  request.in_place = false;
  request.waits = true;
  queue_.push_front(part.request);
  request.place = queue_.begin();
  return true;
}

void BatchQueue::Failed(Batch* batch, const BatchRequest* own, const std::exception_ptr& error, Code code) {
  const bool interrupted = code == Code::kCancelled && own != nullptr && GetInterruptCheck() != nullptr &&
                           !batch->target().function->model->gate.closed();
  const bool early = code == Code::kCancelled || code == Code::kDeadlineExceeded;
  if (batch->parts.size() > 1 && !early && !batch->no_parts) {
    RunHalves(batch, own);
  } else {
    for (Batch::Part& part : batch->parts) {
      const bool others = interrupted && part.request.get() != own && !part.request->cancelled();
      if (others && PutBack(*batch, part)) part.answered = true;
    }
    Answer(batch, {}, error);
  }
}

// So that only the request at fault fails.
void BatchQueue::RunHalves(Batch* batch, const BatchRequest* own) {
  if (!batch->copied) InputsRead(batch, false);
  const std::size_t count = batch->parts.size(), middle = (count + 1) / 2;
  for (const auto& [begin, end] : {std::pair(std::size_t{0}, middle), std::pair(middle, count)}) {
    Batch half;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (std::size_t i = begin; i < end; ++i) {
        const Batch::Part& part = batch->parts[i];
        if (part.request->ended) continue;
        ++part.request->in_use;
        half.parts.push_back(part);
        half.rows += part.end - part.begin;
      }
      if (!half.parts.empty()) ++statistics_.retries;
    }
    if (!half.parts.empty()) RunBatch(std::move(half), own);
  }
}

double BatchQueue::Measure(const BatchTarget& target, const std::vector<Tensor>& row,
                           std::size_t rows) const {
  const std::vector<BatchPart> parts(rows, BatchPart{&row, 0, 1});
  double best = 0, all = 0;
  for (int run = 0; run < kMaxRuns && all < kSizeSeconds; ++run) {
    const Clock::time_point begin = Clock::now();
    const std::vector<Tensor> joined = target.layout.Join(parts, rows, buffers_);
    std::vector<Tensor> results(target.function->engine().outputs().size());
    RunInside(*target.function, {joined, results, false, nullptr, nullptr});
    const double seconds = SecondsSince(begin);
    if (rows > 1) target.layout.CheckResults(results, rows);
    for (std::size_t i = 0; i < rows; ++i) (void)target.layout.Rows(results, i, parts[i], joined);
    all += SecondsSince(begin);
    best = best == 0 ? seconds : std::min(best, seconds);
  }
  return best;
}

void BatchQueue::WarmUp() {
  const auto target = CurrentTarget();
  const FunctionState& function = *target->function;
  const std::vector<Tensor> row = target->layout.OneRow(options_.sample);
  if (!options_.warm_up || row.empty()) return;
  const Visit visit(*function.model);
  if (!function.bound->called.load(std::memory_order_relaxed)) Prepare(function);
  std::vector<std::size_t> sizes = options_.pad_to;
  if (const auto fixed = target->layout.fixed_rows()) {
    sizes = {std::max<std::size_t>(*fixed, 1)};
  } else if (sizes.empty()) {
    const std::size_t most = options_.max_batch_size > 0 ? options_.max_batch_size : kMaxMeasuredRows;
    for (std::size_t rows = 1; rows < most; rows *= 2) sizes.push_back(rows);
    sizes.push_back(most);
  }
  std::size_t bytes = 0;
  for (const Tensor& input : row) bytes += input.byte_size();
  double rate = 0;
  int no_gains = 0;
  std::size_t measured = 0;
  const Clock::time_point begin = Clock::now();
  try {
    (void)Measure(*target, row, sizes[0]);  // the first run prepares the function
    for (const std::size_t rows : sizes) {
      if (measured > 0 && (rows * bytes > kMaxMeasuredBytes || SecondsSince(begin) > kAllSeconds)) break;
      const double seconds = Measure(*target, row, rows);
      const std::lock_guard<std::mutex> lock(mutex_);
      Learn(rows, seconds);
      measured = rows;
      const double gained = static_cast<double>(rows) / seconds;
      no_gains = gained < kGain * rate ? no_gains + 1 : 0;
      rate = std::max(rate, gained);
      if (no_gains == kNoGains || seconds > kLongestRun) break;
    }
  } catch (const Error& error) {
    // Made-up rows prove nothing about real ones, except that results have no rows.
    if (!options_.sample.empty() || error.code() == Code::kFailedPrecondition) throw;
  }
  buffers_->Clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (options_.max_batch_size == 0 && options_.pad_to.empty() && !target->layout.fixed_rows()) {
    limit_ = std::max(limit_, measured);
  }
}

}  // namespace savedmodel::internal
