// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The shared state of Model and Function handles.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/call_counters.h"
#include "core/engine.h"
#include "core/run_gate.h"
#include "core/shared_pool.h"
#include "savedmodel/model.h"

namespace savedmodel::internal {

// The state that all copies of a function share.
struct BoundFunction {
  explicit BoundFunction(std::unique_ptr<EngineFunction> made, bool by_tensors = false)
      : engine(std::move(made)), by_tensor_name(by_tensors) {}
  const std::unique_ptr<EngineFunction> engine;
  const bool by_tensor_name;  // there may be many, each called once
  CallCounters counters;
  std::atomic<bool> called{false};
  std::atomic<bool> has_run{false};  // once, with success
};

struct ModelState : std::enable_shared_from_this<ModelState> {
  ModelState();
  ~ModelState();
  // Throws if the model is closed, and in a forked child.
  void Enter();
  void Leave() { gate.Leave(); }
  void Close();
  // Refuses new calls and asks running ones to stop.
  void Cancel();

  using Names = std::vector<std::string>;
  using AdHocKey = std::tuple<Names, Names, Names>;  // fetches, feeds, targets

  std::string path;
  LoadOptions options;
  std::string default_signature;
  std::size_t warmed_up = 0;
  const std::uint32_t fork_generation;
  RunGate gate;
  std::atomic<std::size_t> waiting{0};  // RunAsync calls that have not begun
  PoolQueue queue;                      // calls in the shared pool
  std::unique_ptr<EngineModel> engine;

  std::mutex mutex;  // guards the members below
  bool closed = false;
  // By signature and outputs; bounded by the sets that the program names.
  std::map<std::pair<std::string, Names>, std::shared_ptr<BoundFunction>> functions;
  std::map<std::string, std::shared_ptr<BoundFunction>> saved_functions;  // by the trace's name
  // Unbounded in number, so only the latest are kept, the last used first.
  std::list<std::pair<AdHocKey, std::shared_ptr<BoundFunction>>> ad_hoc;
};

struct FunctionState {
  std::shared_ptr<ModelState> model;
  std::shared_ptr<BoundFunction> bound;
  std::string label;  // "signature 'serving_default'", for messages

  EngineFunction& engine() const { return *bound->engine; }
  static const std::shared_ptr<FunctionState>& Of(const Function& function) { return function.state(); }
  static Function Handle(std::shared_ptr<FunctionState> state) { return Function(std::move(state)); }
  RunCounters Counters() const;
};

// One run inside the model's gate, checked and counted; `outputs` is as in EngineFunction::Run.
struct RunCall {
  Span<const Tensor> inputs;
  Span<Tensor> outputs;
  bool into = false;
  const RunOptions* options = nullptr;
  Trace* trace = nullptr;
};
void RunInside(const FunctionState& function, const RunCall& call);
// Throws UsageError if a RunAsync has no callback.
void CheckCallback(bool given);
// Call before the first run.
void Prepare(const FunctionState& function);

// The model whose callback the calling thread is running; else null.
const ModelState* Delivering();
// Sets it, and returns the previous one.
const ModelState* SetDelivering(const ModelState* model);

// Keeps a model open for its scope.
class Visit {
 public:
  explicit Visit(ModelState& model) : model_(model) { model_.Enter(); }
  ~Visit() { model_.Leave(); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  ModelState& model_;
};

bool Fits(const PartialShape& expected, const Shape& shape);
// Throws UsageError unless `tensor` fits `spec`. `label` names the function.
void CheckInput(const std::string& label, const TensorSpec& spec, const Tensor& tensor);
// The same for an output's buffer, which must be writable and must not hold strings.
void CheckBuffer(const std::string& label, const TensorSpec& spec, const Tensor& buffer);
// Throws UsageError if buffers of two outputs overlap, which would lose one result. Empty tensors never
// overlap.
void CheckDisjoint(const std::string& label, const std::vector<TensorSpec>& specs,
                   Span<const Tensor> buffers);
// Throws kDeadlineExceeded if no time is left.
void CheckOptions(const std::string& label, const RunOptions& options);
void CheckOptions(const LoadOptions& options);

}  // namespace savedmodel::internal
