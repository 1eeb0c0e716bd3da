// SPDX-License-Identifier: Apache-2.0
// Runs a graph without a session.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/executor/stateful.h"
#include "engine/graph/constants.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/origins.h"
#include "savedmodel/trace.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

class GraphExecutor {
 public:
  virtual ~GraphExecutor() = default;
  virtual const char* name() const = 0;
  virtual const tensorflow::Device& device() const = 0;
  // Thread-safe; runs in the caller's thread. Kernels may write into those of `feeds` that own their memory
  // and have no other holder. Ends early, with Error kCancelled, once `cancellation` is cancelled.
  virtual void Run(const std::vector<tensorflow::Tensor>& feeds, std::vector<tensorflow::Tensor>* fetched,
                   tensorflow::CancellationManager* cancellation) const = 0;

  // Its constants. `packed`: the kernels that read it have done so for the last time. None if it can't tell.
  struct Constant {
    const tensorflow::Tensor* value;
    bool packed;
  };
  virtual std::optional<std::vector<Constant>> Constants() const { return std::nullopt; }

  // The nodes that it runs, without those of functions; none if it can't tell.
  virtual std::vector<TraceNode> Nodes() const { return {}; }
  // Which nodes of the graph as loaded they replace.
  const Replaced& replaced() const { return replaced_; }
  void set_replaced(Replaced replaced) { replaced_ = std::move(replaced); }

  // True if a run has no side effects, so that a failed one may be repeated.
  bool repeatable() const { return repeatable_; }
  void set_repeatable(bool repeatable) { repeatable_ = repeatable; }

 private:
  bool repeatable_ = false;
  Replaced replaced_;
};

// Makes the fastest executor for `graph`: a list of kernels, or TensorFlow's executor for loops, branches and
// kernels that wait. Returns null for a graph that needs a session, and names the node in `why_not`; with
// `only_kernels`, also for a graph that needs TensorFlow's executor. `pool` has the values of large
// constants, or is null; `stateful` must outlive the executor. Throws Error.
std::unique_ptr<GraphExecutor> MakeExecutor(ExecutableGraph graph, tensorflow::Device* device,
                                            const ConstantPool* pool, StatefulKernels* stateful,
                                            std::string* why_not, bool only_kernels = false);

// Process-wide, as TensorFlow's kernels expect.
std::int64_t NextStepId();

}  // namespace savedmodel::engine
