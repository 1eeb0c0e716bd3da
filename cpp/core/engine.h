// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The interface of libsavedmodel_tensorflow.so, which libsavedmodel.so opens at the first load.
// Standard library and public types only; failures are thrown across it as savedmodel::Error.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "savedmodel/edit.h"
#include "savedmodel/inspect.h"
#include "savedmodel/optimization.h"
#include "savedmodel/options.h"
#include "savedmodel/runtime.h"
#include "savedmodel/saved_function.h"
#include "savedmodel/signature.h"
#include "savedmodel/tensor.h"
#include "savedmodel/trace.h"
#include "savedmodel/warmup.h"

namespace savedmodel::internal {

class EngineFunction {
 public:
  virtual ~EngineFunction() = default;
  virtual const std::vector<TensorSpec>& inputs() const = 0;
  virtual const std::vector<TensorSpec>& outputs() const = 0;
  virtual const std::string& copies_inputs_because() const = 0;
  virtual OptimizationReport optimization() const = 0;  // may change with a run
  // Inputs are already checked. `into`: outputs that are not empty are buffers of the right type and receive
  // the values; if a shape differs, throws UsageError and writes nothing. `options` and `trace` may be null.
  // Thread-safe.
  virtual void Run(const Tensor* inputs, Tensor* outputs, bool into, const RunOptions* options,
                   Trace* trace) = 0;
};

class EngineModel {
 public:
  virtual ~EngineModel() = default;
  virtual const std::map<std::string, Signature>& signatures() const = 0;
  virtual const std::map<std::string, TensorSpec>& variables() const = 0;
  virtual std::unique_ptr<EngineFunction> Bind(const Signature& signature,
                                               const std::vector<TensorSpec>& outputs) = 0;
  virtual std::unique_ptr<EngineFunction> Bind(const std::vector<std::string>& fetches,
                                               const std::vector<std::string>& feeds,
                                               const std::vector<std::string>& targets) = 0;
  virtual const std::map<std::string, SavedFunction>& functions() = 0;
  // Finds a function by any path that leads to it; throws UsageError.
  virtual const SavedFunction& FindFunction(const std::string& path) = 0;
  virtual std::unique_ptr<EngineFunction> Bind(const SavedFunction& function, std::size_t trace) = 0;
  virtual Tensor ReadVariable(const std::string& name) = 0;
  virtual std::size_t WeightBytes() = 0;
  virtual std::vector<std::string> devices() = 0;
  virtual std::map<std::string, std::int64_t> Placement() = 0;
  virtual void SaveOptimized(const std::string& target,
                             const std::optional<std::vector<std::string>>& functions, bool for_default) = 0;
  virtual void SaveVariables(const std::string& target, bool as_saved_model) = 0;
  // Frees what nothing needs after the first call of a function: pages of mapped weights; variables. They are
  // read again when they are needed.
  virtual void FreeUnused() = 0;
  // Stops running calls; may be called during calls.
  virtual void Cancel() = 0;
  // Frees the session. No call may be running; existing functions stay destructible.
  virtual void Close() = 0;
};

class EngineEdit {
 public:
  virtual ~EngineEdit() = default;
  virtual void Apply(const EditOperation& operation) = 0;
  virtual std::map<std::string, Signature> signatures() = 0;
  virtual std::vector<std::string> Save(const std::string& target, const EditOptions& options) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::unique_ptr<EngineModel> Load(const std::string& path, const LoadOptions& options) = 0;
  virtual Inspection Inspect(const std::string& path) = 0;
  virtual std::unique_ptr<EngineEdit> OpenEdit(const std::string& path) = 0;
  virtual std::vector<std::string> RegisteredOps() = 0;
  virtual std::string ParseSessionConfig(const std::string& text) = 0;
  // A TFRecord file; it is written whole, or not at all.
  virtual std::vector<std::string> ReadRecords(const std::string& file) = 0;
  virtual void WriteRecords(const std::string& file, const std::vector<std::string>& records) = 0;
  // tensorflow.serving.PredictionLog.
  virtual std::vector<WarmupRequest> ParseRequests(const std::string& record) = 0;
  virtual std::string SerializeRequest(const WarmupRequest& request) = 0;
  virtual std::string SerializeExample(const std::map<std::string, Feature>& features) = 0;
};

using LogHandler = std::function<void(const LogRecord&)>;

constexpr int kFatalOnly = 3;

// The lowest severity that TF_CPP_MIN_LOG_LEVEL writes to stderr: 0 for information, 1 warnings, 2 errors.
// TensorFlow ignores the level while it is being opened.
inline int StderrLevel() {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  return level == nullptr ? kFatalOnly : std::clamp(std::atoi(level), 0, kFatalOnly);
}

// The engine's one exported function. Its result lives as long as the process. `stderr_level` is as in
// OpenedTensorFlow.
using OpenEngineFn = Engine* (*)(void (*log)(const LogRecord&), int stderr_level);
inline constexpr char kOpenEngineSymbol[] = "savedmodel_open_engine";

}  // namespace savedmodel::internal
