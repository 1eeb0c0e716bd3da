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
#include "savedmodel/signature.h"
#include "savedmodel/span.h"
#include "savedmodel/tensor.h"
#include "savedmodel/trace.h"

namespace savedmodel {

namespace internal {
struct FunctionState;
}  // namespace internal

// A signature, or a set of graph tensors, made ready to run (Model::function). A value: copies share it.
// Thread-safe. Keeps the model's session alive until the model is closed.
//
// All forms of Run check their arguments (UsageError) before TensorFlow sees them, and throw Error
// kFailedPrecondition once the model is closed, kCancelled, kDeadlineExceeded, or TensorFlow's own.
class SAVEDMODEL_API Function {
 public:
  Function() = default;  // holds nothing

  // Dense tensors in the order of Run; composites are replaced by their components.
  const std::vector<TensorSpec>& inputs() const;
  const std::vector<TensorSpec>& outputs() const;

  // Runs in the order of inputs(), and returns the results in the order of outputs().
  std::vector<Tensor> Run(Span<const Tensor> inputs) const;
  std::vector<Tensor> Run(std::initializer_list<Tensor> inputs) const {
    return Run(Span<const Tensor>(inputs.begin(), inputs.size()));
  }
  std::vector<Tensor> Run(Span<const Tensor> inputs, const RunOptions& options, Trace* trace = nullptr) const;
  std::vector<Tensor> Run(std::initializer_list<Tensor> inputs, const RunOptions& options) const {
    return Run(Span<const Tensor>(inputs.begin(), inputs.size()), options);
  }
  // By key; an input with a default may be left out.
  std::map<std::string, Tensor> Run(const std::map<std::string, Tensor>& inputs) const;
  // Without a vector: `outputs` has room for outputs().size() results, whatever was there before. `options`
  // may be null, for the model's own.
  void Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options = nullptr,
           Trace* trace = nullptr) const;

  // Puts results into memory of the caller's: each of `outputs` is a writable tensor of the output's type and
  // of the very shape that the result will have (UsageError otherwise, and nothing is written), or an empty
  // Tensor, which is set as by Run; strings must be. A buffer may overlap inputs, and not another buffer.
  // With buffers for all outputs, and aligned inputs of unchanged shapes, a call allocates nothing but what
  // TensorFlow's kernels do.
  void RunInto(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options = nullptr,
               Trace* trace = nullptr) const;

  // Gets the results, or the error (null without one; valid during the call). Must not throw.
  using Callback = std::function<void(const Error* error, std::vector<Tensor> results)>;
  // Runs in LoadOptions::thread_pool, or in a pool that the models of the process share. `done` is called
  // exactly once, in a thread of the pool, or in the caller's if the call can't be queued; errors are given
  // to it, not thrown. Inputs are held until the run has ended, Model::Close waits until `done` has returned.
  void RunAsync(std::vector<Tensor> inputs, Callback done, RunOptions options = {}) const;

  // A snapshot; zeros if LoadOptions::counters is false.
  RunCounters Counters() const;

  // Empty if aligned inputs are read in place, else why a run copies them.
  const std::string& copies_inputs_because() const;

 private:
  friend class Model;
  explicit Function(std::shared_ptr<internal::FunctionState> state) : state_(std::move(state)) {}
  std::shared_ptr<internal::FunctionState> state_;
};

}  // namespace savedmodel
