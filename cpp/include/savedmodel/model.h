// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "savedmodel/error.h"
#include "savedmodel/export.h"
#include "savedmodel/optimization.h"
#include "savedmodel/options.h"
#include "savedmodel/signature.h"
#include "savedmodel/tensor.h"
#include "savedmodel/trace.h"

namespace savedmodel {

namespace internal {
struct FunctionState;
struct ModelState;
}  // namespace internal

// A signature, or a set of graph tensors, made ready to run. A value: copies share it. Thread-safe.
// Keeps the model's session alive until the model is closed.
class SAVEDMODEL_API Function {
 public:
  Function() = default;  // holds nothing

  // Dense tensors in the order of Run; composites are replaced by their components.
  const std::vector<TensorSpec>& inputs() const;
  const std::vector<TensorSpec>& outputs() const;

  // Checks `inputs` (UsageError), runs, and returns the results in the order of outputs().
  std::vector<Tensor> Run(const std::vector<Tensor>& inputs) const;
  std::vector<Tensor> Run(std::initializer_list<Tensor> inputs) const { return Run(std::vector(inputs)); }
  std::vector<Tensor> Run(const std::vector<Tensor>& inputs, const RunOptions& options,
                          Trace* trace = nullptr) const;
  // By key; an input with a default may be left out.
  std::map<std::string, Tensor> Run(const std::map<std::string, Tensor>& inputs) const;
  // Without a vector: `inputs` holds inputs().size() tensors, `outputs` room for outputs().size().
  // `options` may be null, for the model's own.
  void Run(const Tensor* inputs, Tensor* outputs, const RunOptions* options = nullptr,
           Trace* trace = nullptr) const;

  // Empty if aligned inputs are read in place, else why a run copies them.
  const std::string& copies_inputs_because() const;

 private:
  friend class Model;
  explicit Function(std::shared_ptr<internal::FunctionState> state) : state_(std::move(state)) {}
  std::shared_ptr<internal::FunctionState> state_;
};

// A loaded MetaGraph: a session, its signatures. A value: copies share it. Thread-safe.
class SAVEDMODEL_API Model {
 public:
  Model() = default;  // holds nothing

  // Throws Error with TensorFlow's own message, or earlier with ours (files, tags, devices).
  static Model Load(const std::string& path, const LoadOptions& options = {});

  const std::string& path() const;
  const LoadOptions& options() const;
  // By name, without the init-op signature.
  const std::map<std::string, Signature>& signatures() const;
  // "serving_default", or the only signature; empty if there is no such choice.
  const std::string& default_signature() const;

  // `outputs`: keys of the results wanted; empty: all. Made once per set, then shared.
  Function function(const std::string& signature, const std::vector<std::string>& outputs = {}) const;
  // Any tensors of the graph ("dense/BiasAdd:0"; ":0" may be left out). The last 64 are kept.
  Function function(const std::vector<std::string>& fetches, const std::vector<std::string>& feeds) const;

  // The graph's variables; reading one copies nothing on a CPU.
  const std::map<std::string, TensorSpec>& variables() const;
  Tensor ReadVariable(const std::string& name) const;

  std::vector<std::string> devices() const;
  // Nodes per device, of the graph and of the functions that it calls, as TensorFlow's placer has them.
  // (Exporters pin the nodes that save and restore to CPU:0.)
  std::map<std::string, std::int64_t> Placement() const;

  // One for each signature; those that never ran are made ready for it.
  std::vector<OptimizationReport> Optimization() const;

  // Copies the SavedModel to the directory `target`, which must not exist, and puts its optimized signatures
  // below assets.extra/savedmodel: later loads of the copy, with the same options, TensorFlow and kind of
  // CPU, take them from there. With the model's own directory nothing is copied.
  void SaveOptimized(const std::string& target) const;

  // Waits for running calls, then frees the session. Calls after it throw kFailedPrecondition.
  void Close();
  bool closed() const;
  // Asks running calls to stop (they throw kCancelled) and refuses new ones; waits up to `seconds`.
  // True if none is left running. For process exit.
  bool Cancel(double seconds);

 private:
  explicit Model(std::shared_ptr<internal::ModelState> state) : state_(std::move(state)) {}
  std::shared_ptr<internal::ModelState> state_;
};

// Cancel for all models of the process; `seconds` in all.
SAVEDMODEL_API bool CancelAllRuns(double seconds);

}  // namespace savedmodel
