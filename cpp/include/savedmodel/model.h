// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "savedmodel/counters.h"
#include "savedmodel/error.h"
#include "savedmodel/export.h"
#include "savedmodel/function.h"
#include "savedmodel/optimization.h"
#include "savedmodel/options.h"
#include "savedmodel/saved_function.h"
#include "savedmodel/signature.h"
#include "savedmodel/tensor.h"

namespace savedmodel {

namespace internal {
struct ModelState;
class Watcher;
}  // namespace internal

// A loaded MetaGraph: a session and its signatures. A handle: copies share it. Thread-safe.
class SAVEDMODEL_API Model {
 public:
  Model() = default;  // empty, like a moved-from one: all else throws kFailedPrecondition
  bool valid() const noexcept { return state_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }

  // Throws Error with TensorFlow's own message, or with this library's from earlier checks (files, tags,
  // devices), and UsageError for invalid options.
  [[nodiscard]] static Model Load(const std::string& path, const LoadOptions& options = {});

  // References point into the model; a temporary returns copies.
  const std::string& path() const&;
  std::string path() const&& { return path(); }
  const LoadOptions& options() const&;
  LoadOptions options() const&& { return options(); }
  // By name, without the init-op signature.
  const std::map<std::string, Signature>& signatures() const&;
  std::map<std::string, Signature> signatures() const&& { return signatures(); }
  // "serving_default", or the only signature; empty if neither exists.
  const std::string& default_signature() const&;
  std::string default_signature() const&& { return default_signature(); }

  // `outputs`: keys of the requested results; empty means all. Made once per set, then shared.
  [[nodiscard]] Function function(const std::string& signature,
                                  const std::vector<std::string>& outputs = {}) const;
  // Takes any tensors of the graph ("dense/BiasAdd:0"; ":0" may be omitted). The last 64 are kept. `targets`:
  // ops that are also run, for their side effects ("train_op").
  [[nodiscard]] Function function(const std::vector<std::string>& fetches,
                                  const std::vector<std::string>& feeds,
                                  const std::vector<std::string>& targets = {}) const;
  [[nodiscard]] Function function(std::initializer_list<std::string> fetches,
                                  std::initializer_list<std::string> feeds,
                                  std::initializer_list<std::string> targets = {}) const {
    using Names = std::vector<std::string>;
    return function(Names(fetches), Names(feeds), Names(targets));
  }
  // Functions of a TF2 saved object that are not signatures, by path.
  const std::map<std::string, SavedFunction>& functions() const&;
  std::map<std::string, SavedFunction> functions() const&& { return functions(); }
  // Finds a function by any attribute path that leads to it. Throws UsageError.
  const SavedFunction& find_function(const std::string& path) const&;
  SavedFunction find_function(const std::string& path) const&& { return find_function(path); }
  // One trace of a function; made once, then shared.
  [[nodiscard]] Function saved_function(const std::string& path, std::size_t trace = 0) const;
  // The trace found by SavedFunction::FindTrace.
  [[nodiscard]] Function saved_function(const std::string& path, const std::vector<Tensor>& tensors,
                                        const std::map<std::string, Constant>& constants = {}) const;

  // The graph's variables; reading one copies nothing on a CPU.
  const std::map<std::string, TensorSpec>& variables() const&;
  std::map<std::string, TensorSpec> variables() const&& { return variables(); }
  [[nodiscard]] Tensor ReadVariable(const std::string& name) const;
  // Writes the current values of variables (and of saved tables) to the directory `target`, which must not
  // exist: as a checkpoint that TensorFlow reads, or as a copy of the SavedModel with these values.
  void SaveVariables(const std::string& target, bool as_saved_model = false) const;

  [[nodiscard]] std::vector<std::string> devices() const;
  // Nodes per device, of the graph and of the functions that it calls, as placed by TensorFlow. (Exporters
  // pin the nodes that save and restore to CPU:0.)
  std::map<std::string, std::int64_t> Placement() const;

  // One report for each signature, or for each trace of __call__ if there are no signatures, in their order.
  // Then follow other functions that were called. One that was not made ready yet says so in `why_not`.
  std::vector<OptimizationReport> Optimization() const;
  // Makes the signatures, or the traces of __call__, ready, as their first calls would. Returns
  // Optimization(); `why_not` of one that can't be made ready is its error.
  std::vector<OptimizationReport> Prepare() const;

  // Copies the SavedModel to the directory `target`, which must not exist, and writes its optimized
  // signatures and functions below assets.extra/savedmodel. Later loads of the copy with the same options,
  // TensorFlow and kind of CPU use them. If `target` is the model's own directory, nothing is copied.
  // `functions`: paths; by default all, or only those of the object itself if they have more than 32 traces.
  // `for_default`: loads with Optimize::kDefault use them, and not those with this model's level.
  void SaveOptimized(const std::string& target,
                     const std::optional<std::vector<std::string>>& functions = std::nullopt,
                     bool for_default = false) const;

  // With LoadOptions::warmup: the number of replayed requests.
  std::size_t warmed_up() const;

  // Bytes of the weights in memory: resource variables, constants of functions that were made ready, and
  // packed copies. 0 once the model is closed.
  std::size_t weight_bytes() const;

  // Counters of each function made of a signature, until the model is closed.
  std::vector<RunCounters> Counters() const;

  // Waits for running calls and for the callbacks of RunAsync, then frees the session. A callback must not
  // call it. Later calls throw kFailedPrecondition.
  void Close();
  bool closed() const;
  // Asks running calls to stop (they throw kCancelled), refuses new ones, and waits up to `longest`. Returns
  // true if none is left running.
  bool Cancel(Seconds longest);

 private:
  friend class internal::Watcher;
  internal::ModelState& state() const;  // throws if empty
  explicit Model(std::shared_ptr<internal::ModelState> state) : state_(std::move(state)) {}
  std::shared_ptr<internal::ModelState> state_;
};

// Calls Cancel for all models of the process; `longest` is the limit for all of them together. The library
// does this itself at exit() and at main's return, before TensorFlow is unloaded: see docs/cpp.md.
SAVEDMODEL_API bool CancelAllRuns(Seconds longest);

}  // namespace savedmodel
