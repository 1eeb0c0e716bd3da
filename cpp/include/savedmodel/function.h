// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "savedmodel/counters.h"
#include "savedmodel/error.h"
#include "savedmodel/export.h"
#include "savedmodel/options.h"
#include "savedmodel/results.h"
#include "savedmodel/signature.h"
#include "savedmodel/span.h"
#include "savedmodel/tensor.h"
#include "savedmodel/trace.h"

namespace savedmodel {

namespace internal {
struct FunctionState;
}  // namespace internal

// A signature, or a set of graph tensors, ready to run (Model::function). A handle: copies share it.
// Thread-safe. Keeps the model's session alive until the model is closed.
//
// All forms of Run check their arguments (UsageError) before TensorFlow sees them. They throw Error:
// kFailedPrecondition once the model is closed, kCancelled, kDeadlineExceeded, or TensorFlow's own.
class SAVEDMODEL_API Function {
 public:
  Function() = default;  // empty, like a moved-from one: all else throws kFailedPrecondition
  bool valid() const noexcept { return state_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }

  // Dense tensors in the order of Run; composites are replaced by their components.
  const std::vector<TensorSpec>& inputs() const&;
  const std::vector<TensorSpec>& outputs() const&;
  std::vector<TensorSpec> inputs() const&& { return inputs(); }
  std::vector<TensorSpec> outputs() const&& { return outputs(); }

  // Takes inputs in the order of inputs(), and returns results in the order of outputs().
  Results Run(Span<const Tensor> inputs) const;
  Results Run(std::initializer_list<Tensor> inputs) const {
    return Run(Span<const Tensor>(inputs.begin(), inputs.size()));
  }
  Results Run(Span<const Tensor> inputs, const RunOptions& options, Trace* trace = nullptr) const;
  Results Run(std::initializer_list<Tensor> inputs, const RunOptions& options, Trace* trace = nullptr) const {
    return Run(Span<const Tensor>(inputs.begin(), inputs.size()), options, trace);
  }
  // By key; an input with a default may be omitted.
  using Named = std::map<std::string, Tensor>;
  NamedResults Run(const Named& inputs) const;
  NamedResults Run(const Named& inputs, const RunOptions& options, Trace* trace = nullptr) const;
  // Without a vector: `outputs` must have outputs().size() elements, which are overwritten. If `options` is
  // null, the model's own apply.
  void Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options = nullptr,
           Trace* trace = nullptr) const;

  // Writes results into the caller's memory. Each of `outputs` is either a writable tensor of the output's
  // type and the result's exact shape (else UsageError, and nothing is written), or an empty Tensor, which is
  // set as by Run. Outputs of strings must be empty. A buffer may overlap inputs, but not another buffer.
  // With buffers for all outputs and aligned inputs of unchanged shapes, only TensorFlow's kernels allocate.
  void RunInto(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options = nullptr,
               Trace* trace = nullptr) const;

  // Receives the results, or an error (null if none; valid during the call). Must not throw.
  using Callback = std::function<void(const Error* error, std::vector<Tensor> results)>;
  using NamedCallback = std::function<void(const Error* error, Named results)>;
  // Runs in LoadOptions::thread_pool, or in a pool shared by the models of the process, which take turns.
  // `done` is called exactly once, in a thread of the pool. If the call can't be queued
  // (LoadOptions::max_queue), the caller's thread calls it. If the call is stopped or times out while it is
  // queued, one thread for all such calls does. Errors are passed to it, not thrown. Inputs are held until
  // the run has ended; Model::Close waits until `done` has returned.
  void RunAsync(std::vector<Tensor> inputs, Callback done, RunOptions options = {}) const;
  void RunAsync(std::initializer_list<Tensor> inputs, Callback done, RunOptions options = {}) const {
    RunAsync(std::vector<Tensor>(inputs), std::move(done), std::move(options));
  }
  void RunAsync(const Named& inputs, NamedCallback done, RunOptions options = {}) const;

  // A snapshot; zeros if LoadOptions::counters is false.
  RunCounters Counters() const;

  // Empty if aligned inputs are read in place, else why a run copies them.
  const std::string& copies_inputs_because() const&;
  std::string copies_inputs_because() const&& { return copies_inputs_because(); }

 private:
  friend class Model;
  friend struct internal::FunctionState;
  const std::shared_ptr<internal::FunctionState>& state() const;  // throws if empty
  explicit Function(std::shared_ptr<internal::FunctionState> state) : state_(std::move(state)) {}
  std::shared_ptr<internal::FunctionState> state_;
};

}  // namespace savedmodel
