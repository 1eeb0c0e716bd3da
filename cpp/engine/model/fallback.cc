// SPDX-License-Identifier: Apache-2.0
#include "engine/model/fallback.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/log/log.h"

namespace savedmodel::engine {
namespace {

// The other graph would be stopped, or run out of memory, likewise.
bool CouldDiffer(const Error& error) {
  return error.code() != Code::kCancelled && error.code() != Code::kDeadlineExceeded &&
         error.code() != Code::kResourceExhausted;
}

}  // namespace

Fallback::Fallback(const GraphExecutor* first, OptimizationReport report, MakePlain make_plain,
                   bool convolves)
    : first_(first),
      optimized_(report.optimized),
      frozen_(report.variables_frozen > 0),
      convolves_(convolves),
      make_plain_(std::move(make_plain)),
      report_(std::move(report)),
      current_(first) {}

OptimizationReport Fallback::report() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return report_;
}

const GraphExecutor& Fallback::For(const std::vector<tensorflow::Tensor>& feeds,
                                   const GraphExecutor& executor) {
  if (!convolves_ || !optimized_ || &executor != first_ || !executor.repeatable()) return executor;
  const auto is_empty = [](const tensorflow::Tensor& feed) { return feed.NumElements() == 0; };
  if (std::none_of(feeds.begin(), feeds.end(), is_empty)) return executor;
  try {
    const GraphExecutor* plain = Plain();
    return plain == nullptr ? executor : *plain;
  } catch (const Error&) {
    return executor;
  }
}

bool Fallback::RunPlain(const GraphExecutor& refused, const Error& error, bool for_good,
                        const std::function<void(const GraphExecutor*)>& run) {
  const bool again = refused.repeatable();
  // A run with effects is not repeated; an op without a kernel still moves later runs to the other graph.
  if (&refused != first_ || !CouldDiffer(error)) return false;
  if (!optimized_ && !for_good) return false;  // TensorFlow's Python refuses the same
  if (!again && error.code() != Code::kUnimplemented) return false;
  const GraphExecutor* plain = nullptr;
  try {
    plain = Plain();
  } catch (const Error& why_not) {
    if (why_not.code() != Code::kFailedPrecondition) return false;
    throw Error(error.code(), std::string(error.what()) +
                                  "; the graph as it was loaded could not be tried: " + why_not.what());
  }
  if (plain == nullptr && !optimized_) return false;  // the session would do the same
  if (again) run(plain);
  if (for_good || !again) Adopt(error);
  return again;
}

const GraphExecutor* Fallback::Plain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!plain_) {
    plain_report_.function = report_.function;
    plain_ = make_plain_(&plain_report_);
  }
  return *plain_;
}

void Fallback::Adopt(const Error& error) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(adopted_, true)) return;
    const std::string message = error.what();
    const char* const who =
        optimized_ ? "the optimized graph failed on a call that the graph as loaded can run: "
                   : "TensorFlow's optimized graph failed on a call that the graph as loaded can run: ";
    plain_report_.why_not = who + message.substr(0, message.find('\n'));
    plain_report_.notes.insert(plain_report_.notes.begin(), report_.notes.begin(), report_.notes.end());
    report_ = plain_report_;
    current_.store(*plain_, std::memory_order_release);
  }
  LOG(WARNING) << report().function << " now runs without optimization: " << report().why_not;
}

}  // namespace savedmodel::engine
