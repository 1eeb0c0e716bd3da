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

// A loaded MetaGraph: a session, its signatures. A value: copies share it. Thread-safe.
class SAVEDMODEL_API Model {
 public:
  Model() = default;  // holds nothing, as one that was moved from: all else throws kFailedPrecondition
  bool valid() const noexcept { return state_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }

  // Throws Error with TensorFlow's own message, or earlier with ours (files, tags, devices), and UsageError
  // for options that can't be.
  [[nodiscard]] static Model Load(const std::string& path, const LoadOptions& options = {});

  // What is returned by reference is the model's; of a temporary, a copy.
  const std::string& path() const&;
  std::string path() const&& { return path(); }
  const LoadOptions& options() const&;
  LoadOptions options() const&& { return options(); }
  // By name, without the init-op signature.
  const std::map<std::string, Signature>& signatures() const&;
  std::map<std::string, Signature> signatures() const&& { return signatures(); }
  // "serving_default", or the only signature; empty if there is no such choice.
  const std::string& default_signature() const&;
  std::string default_signature() const&& { return default_signature(); }

  // `outputs`: keys of the results wanted; empty: all. Made once per set, then shared.
  [[nodiscard]] Function function(const std::string& signature,
                                  const std::vector<std::string>& outputs = {}) const;
  // Any tensors of the graph ("dense/BiasAdd:0"; ":0" may be left out). The last 64 are kept. `targets`: ops
  // that are run as well, for what they do ("train_op").
  [[nodiscard]] Function function(const std::vector<std::string>& fetches,
                                  const std::vector<std::string>& feeds,
                                  const std::vector<std::string>& targets = {}) const;
  [[nodiscard]] Function function(std::initializer_list<std::string> fetches,
                                  std::initializer_list<std::string> feeds,
                                  std::initializer_list<std::string> targets = {}) const {
    using Names = std::vector<std::string>;
    return function(Names(fetches), Names(feeds), Names(targets));
  }
  // Functions of the saved object that are no signatures, by path; of TF2 models.
  const std::map<std::string, SavedFunction>& functions() const&;
  std::map<std::string, SavedFunction> functions() const&& { return functions(); }
  // By any attributes that lead to it. Throws UsageError.
  const SavedFunction& find_function(const std::string& path) const&;
  SavedFunction find_function(const std::string& path) const&& { return find_function(path); }
  // A trace of one, made once, then shared.
  [[nodiscard]] Function saved_function(const std::string& path, std::size_t trace = 0) const;
  // The trace that SavedFunction::FindTrace finds.
  [[nodiscard]] Function saved_function(const std::string& path, const std::vector<Tensor>& tensors,
                                        const std::map<std::string, Constant>& constants = {}) const;

  // The graph's variables; reading one copies nothing on a CPU.
  const std::map<std::string, TensorSpec>& variables() const&;
  std::map<std::string, TensorSpec> variables() const&& { return variables(); }
  [[nodiscard]] Tensor ReadVariable(const std::string& name) const;
  // Writes the values that variables (and tables that are saved) have now to the directory `target`, which
  // must not exist: a checkpoint, which TensorFlow reads; or a copy of the SavedModel with these values.
  void SaveVariables(const std::string& target, bool as_saved_model = false) const;

  [[nodiscard]] std::vector<std::string> devices() const;
  // Nodes per device, of the graph and of the functions that it calls, as TensorFlow's placer has them.
  // (Exporters pin the nodes that save and restore to CPU:0.)
  std::map<std::string, std::int64_t> Placement() const;

  // One for each signature, or, where there is none, each trace of __call__, in their order; those that never
  // ran are made ready for it. Then those of other functions that were made ready.
  std::vector<OptimizationReport> Optimization() const;

  // Copies the SavedModel to the directory `target`, which must not exist, and puts its optimized signatures
  // and functions below assets.extra/savedmodel: later loads of the copy, with the same options, TensorFlow
  // and kind of CPU, take them from there. With the model's own directory nothing is copied. `functions`:
  // paths; by default all, or, where they have more than 32 traces, those of the object itself.
  void SaveOptimized(const std::string& target,
                     const std::optional<std::vector<std::string>>& functions = std::nullopt) const;

  // With LoadOptions::warmup: how many recorded requests were replayed.
  std::size_t warmed_up() const;

  // Of each function made of a signature, until the model is closed.
  std::vector<RunCounters> Counters() const;

  // Waits for running calls, and for the callbacks of RunAsync, then frees the session; so it is not for a
  // callback to call. Calls after it throw kFailedPrecondition.
  void Close();
  bool closed() const;
  // Asks running calls to stop (they throw kCancelled) and refuses new ones; waits up to `longest`. True if
  // none is left running.
  bool Cancel(Seconds longest);

 private:
  friend class internal::Watcher;
  internal::ModelState& state() const;  // throws where there is none
  explicit Model(std::shared_ptr<internal::ModelState> state) : state_(std::move(state)) {}
  std::shared_ptr<internal::ModelState> state_;
};

// Cancel for all models of the process; `longest` in all. At exit() and at main's return the library does so
// itself, before TensorFlow is torn down: see docs/cpp.md.
SAVEDMODEL_API bool CancelAllRuns(Seconds longest);

}  // namespace savedmodel
