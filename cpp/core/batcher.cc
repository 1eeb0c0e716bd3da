// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/batcher.h"

#include <algorithm>
#include <utility>

#include "core/batch/queue.h"
#include "core/with_errors.h"

namespace savedmodel {

using internal::WithErrors;

namespace {

constexpr char kSubject[] = "a batcher";
constexpr int kMaxConcurrent = 4096;
constexpr double kMaxDelay = 1e9;

void Check(BatchOptions* options) {
  const auto check = [](bool good, const char* rule) {
    if (!good) throw UsageError(UsageError::Kind::kValue, rule);
  };
  const double delay = options->max_delay.count();
  check(delay >= 0 && delay <= kMaxDelay, "BatchOptions::max_delay must be 0 to 1e9 seconds");
  check(options->max_queue > 0, "BatchOptions::max_queue must be 1 or more");
  check(options->max_concurrent >= 0 && options->max_concurrent <= kMaxConcurrent,
        "BatchOptions::max_concurrent must be 1 to 4096, or 0 for one per CPU");
  std::vector<std::size_t>& sizes = options->pad_to;
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  check(sizes.empty() || sizes.front() > 0, "BatchOptions::pad_to must have sizes of 1 or more");
  check(sizes.empty() || options->max_batch_size == 0 || options->max_batch_size == sizes.back(),
        "BatchOptions::max_batch_size must be the largest size of pad_to, or left out");
}

std::shared_ptr<internal::BatchQueue> Make(std::function<Function()> source, bool watches,
                                           BatchOptions options) {
  Check(&options);
  auto queue = std::make_shared<internal::BatchQueue>(std::move(source), watches, std::move(options));
  queue->WarmUp();
  return queue;
}

}  // namespace

Batcher Batcher::Start(const Function& function, BatchOptions options) {
  if (!function) internal::RefuseEmpty("Function");
  return WithErrors(
      kSubject, [&] { return Batcher(Make([function] { return function; }, false, std::move(options))); });
}

Batcher Batcher::Start(const Watched& watched, const std::string& signature, std::vector<std::string> outputs,
                       BatchOptions options) {
  return WithErrors(kSubject, [&] {
    auto source = [watched, signature, outputs = std::move(outputs)] {
      return watched.model().function(signature, outputs);
    };
    return Batcher(Make(std::move(source), true, std::move(options)));
  });
}

internal::BatchQueue& Batcher::queue() const {
  if (queue_ == nullptr) internal::RefuseEmpty("Batcher");
  return *queue_;
}

Results Batcher::Run(Span<const Tensor> inputs, const RunOptions& options) const {
  return WithErrors(kSubject, [&] {
    Results results(function().outputs().size());
    queue().Run(inputs, results, &options);
    return results;
  });
}

void Batcher::Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options) const {
  WithErrors(kSubject, [&] { queue().Run(inputs, outputs, options); });
}

void Batcher::RunAsync(std::vector<Tensor> inputs, Function::Callback done, RunOptions options) const {
  std::vector<Request> one(1);
  one[0] = {std::move(inputs), std::move(done), std::move(options)};
  RunAsync(std::move(one));
}

void Batcher::RunAsync(std::vector<Request> requests, Seconds here) const {
  for (const Request& request : requests) internal::CheckCallback(request.done != nullptr);
  WithErrors(kSubject, [&] { queue().RunAsync(std::move(requests), here); });
}

Function Batcher::function() const {
  return WithErrors(kSubject, [&] { return queue().CurrentFunction(); });
}
BatchStatistics Batcher::Statistics() const {
  return WithErrors(kSubject, [&] { return queue().Statistics(); });
}
Seconds Batcher::Saving() const {
  return WithErrors(kSubject, [&] { return Seconds(std::max(queue().saving(), 0.0)); });
}
void Batcher::Close() {
  WithErrors(kSubject, [&] { queue().Close(); });
}

}  // namespace savedmodel
