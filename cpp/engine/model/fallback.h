// SPDX-License-Identifier: Apache-2.0
// Chooses the executor of a function. The first graph runs until it refuses a run that the second graph
// accepts; then the second one replaces it. First and second are the optimized graph and the graph as loaded,
// or, without our optimizer, the graph after and before TensorFlow's own. Empty inputs of convolutions run on
// the graph as loaded, since oneDNN's shapes depend on fusion. Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/executor/executor.h"
#include "savedmodel/error.h"
#include "savedmodel/optimization.h"

namespace savedmodel::engine {

class Fallback {
 public:
  // Makes the executor of the second graph, or null if a session has to run it; fills in the rest of the
  // report. Throws Error.
  using MakePlain = std::function<const GraphExecutor*(OptimizationReport* report)>;

  // `first` runs the function as `report` says, or is null: a session does. `convolves`: the function may.
  Fallback(const GraphExecutor* first, OptimizationReport report, MakePlain make_plain, bool convolves);

  // Null: a session.
  const GraphExecutor* current() const { return current_.load(std::memory_order_acquire); }
  // True of an executor with constants that were variables.
  bool is_frozen(const GraphExecutor* executor) const { return frozen_ && executor == first_; }
  OptimizationReport report() const;
  // All that there are, for who owns them; no run may be going on.
  const GraphExecutor* first() const { return first_; }
  const GraphExecutor* plain() const { return plain_.value_or(nullptr); }

  // The executor to try first for `feeds`: `executor`, which is current, or the plain one.
  const GraphExecutor& For(const std::vector<tensorflow::Tensor>& feeds, const GraphExecutor& executor);

  // `refused` ended with `error`. False if that stands: the second graph could not differ, or a second run
  // would change something twice. Else calls run(executor) with that graph's, or with null for the session;
  // throws what it throws, or, if `for_good`, `refused` is not current any more.
  bool RunPlain(const GraphExecutor& refused, const Error& error, bool for_good,
                const std::function<void(const GraphExecutor*)>& run);

 private:
  const GraphExecutor* Plain();
  void Adopt(const Error& error);

  const GraphExecutor* const first_;
  const bool optimized_;
  const bool frozen_;
  const bool convolves_;
  const MakePlain make_plain_;
  mutable std::mutex mutex_;
  OptimizationReport report_;        // of the current one
  OptimizationReport plain_report_;  // once there is a plain one
  std::optional<const GraphExecutor*> plain_;
  std::atomic<const GraphExecutor*> current_;
  bool adopted_ = false;
};

}  // namespace savedmodel::engine
