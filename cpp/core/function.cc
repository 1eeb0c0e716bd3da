// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/function.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "core/clock.h"
#include "core/exit.h"
#include "core/model_state.h"
#include "core/resident_memory.h"
#include "core/with_errors.h"

namespace savedmodel {
namespace internal {

void CheckOptions(const std::string& label, const RunOptions& options) {
  if (!options.timeout) return;
  const double seconds = options.timeout->count();
  if (!std::isfinite(seconds)) {
    throw UsageError(UsageError::Kind::kValue,
                     "timeout must be a finite number of seconds, got " + std::to_string(seconds));
  }
  if (seconds <= 0) {
    throw Error(Code::kDeadlineExceeded,
                label + ": no time is left to run: the timeout is " + std::to_string(seconds) + " s");
  }
}

namespace {

void CheckCount(const FunctionState& function, const char* verb, const char* what, std::size_t expected,
                std::size_t given) {
  if (given == expected) return;
  throw UsageError(UsageError::Kind::kArguments, function.label + " " + verb + " " +
                                                     std::to_string(expected) + " " + what + ", got " +
                                                     std::to_string(given));
}

void Check(const FunctionState& function, const RunCall& call) {
  if (call.options != nullptr) CheckOptions(function.label, *call.options);
  const std::vector<TensorSpec>& inputs = function.engine().inputs();
  const std::vector<TensorSpec>& outputs = function.engine().outputs();
  CheckCount(function, "takes", "input tensors", inputs.size(), call.inputs.size());
  CheckCount(function, "needs", "output tensors", outputs.size(), call.outputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) CheckInput(function.label, inputs[i], call.inputs[i]);
  for (std::size_t i = 0; call.into && i < outputs.size(); ++i) {
    if (call.outputs[i].dtype() != DType::kInvalid) {
      CheckBuffer(function.label, outputs[i], call.outputs[i]);
    }
  }
  if (call.into) CheckDisjoint(function.label, outputs, call.outputs);
  if (call.options != nullptr && call.options->cancellation && call.options->cancellation->cancelled()) {
    throw Error(Code::kCancelled, function.label + ": the run was cancelled");
  }
}

template <typename Body>
void Counted(const FunctionState& function, const Body& body) {
  if (!function.model->options.counters) return WithErrors(function.label, body);
  CallCounters& counters = function.bound->counters;
  const std::uint64_t begin = Ticks();
  try {
    WithErrors(function.label, body);
  } catch (const Error& error) {
    counters.Failed(error.code(), Ticks() - begin);
    throw;
  }
  counters.Succeeded(Ticks() - begin);
}

// The first call leaves much behind: preparing the function took it.
void EndFirst(const FunctionState& function) {
  if (function.bound->has_run.exchange(true) || function.bound->by_tensor_name) return;
  function.model->engine->FreeUnused();
  ReduceResidentMemory(function.model->options.drop_library_pages);
}

void RunChecked(const FunctionState& function, const RunCall& call) {
  function.engine().Run(call.inputs.data(), call.outputs.data(), call.into, call.options, call.trace);
}

void Run(const FunctionState& function, const RunCall& call) {
  const bool is_first = !function.bound->has_run.load(std::memory_order_relaxed);
  if (is_first) Prepare(function);
  try {
    Counted(function, [&] {
      Check(function, call);
      const Visit visit(*function.model);
      RunChecked(function, call);
      if (is_first) EndFirst(function);
    });
  } catch (const Error&) {
    HoldAtExit();
    throw;
  }
}

Results RunAll(const Function& function, Span<const Tensor> inputs, const RunOptions* options, Trace* trace) {
  Results results = WithErrors("the results of a run", [&] { return Results(function.outputs().size()); });
  function.Run(inputs, results, options, trace);
  return results;
}

NamedResults ByName(const Function& function, Results results) {
  NamedResults named;
  for (std::size_t i = 0; i < results.size(); ++i) {
    named.emplace(function.outputs()[i].key, std::move(results[i]));
  }
  return named;
}

std::vector<Tensor> Ordered(const FunctionState& function, const Function::Named& inputs) {
  const std::vector<TensorSpec>& specs = function.engine().inputs();
  std::vector<Tensor> ordered;
  for (const TensorSpec& spec : specs) {
    const auto given = inputs.find(spec.key);
    if (given == inputs.end() && !spec.default_value) {
      throw UsageError(UsageError::Kind::kArguments,
                       function.label + ": missing input '" + spec.key + "': " + spec.ToString());
    }
    ordered.push_back(given == inputs.end() ? spec.default_value : given->second);
  }
  for (const auto& [key, tensor] : inputs) {
    if (std::none_of(specs.begin(), specs.end(), [&](const TensorSpec& spec) { return spec.key == key; })) {
      throw UsageError(UsageError::Kind::kArguments, function.label + " has no input '" + key + "'");
    }
  }
  return ordered;
}

}  // namespace

void Prepare(const FunctionState& function) {
  // Register at the first call: a static variable that holds the function exists by then, and is destroyed
  // later.
  if (!function.bound->called.exchange(true)) StopRunsAtExit();
}

void RunInside(const FunctionState& function, const RunCall& call) {
  const bool is_first = !function.bound->has_run.load(std::memory_order_relaxed);
  Counted(function, [&] {
    Check(function, call);
    RunChecked(function, call);
    if (is_first) EndFirst(function);
  });
}

void CheckCallback(bool given) {
  if (given) return;
  Throw("RunAsync", [] { return UsageError(UsageError::Kind::kArguments, "RunAsync needs a callback"); });
}

RunCounters FunctionState::Counters() const {
  RunCounters counters;
  counters.function = label;
  for (const TensorSpec& output : engine().outputs()) counters.outputs.push_back(output.key);
  bound->counters.Read(&counters);
  return counters;
}

}  // namespace internal

using internal::FunctionState;

const std::shared_ptr<FunctionState>& Function::state() const {
  if (state_ == nullptr) internal::RefuseEmpty("Function");
  return state_;
}

const std::vector<TensorSpec>& Function::inputs() const& { return state()->engine().inputs(); }
const std::vector<TensorSpec>& Function::outputs() const& { return state()->engine().outputs(); }
const std::string& Function::copies_inputs_because() const& {
  return state()->engine().copies_inputs_because();
}
RunCounters Function::Counters() const {
  return internal::WithErrors(state()->label, [&] { return state_->Counters(); });
}

void Function::Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options,
                   Trace* trace) const {
  internal::Run(*state(), {inputs, outputs, false, options, trace});
}

void Function::RunInto(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options,
                       Trace* trace) const {
  internal::Run(*state(), {inputs, outputs, true, options, trace});
}

Results Function::Run(Span<const Tensor> inputs) const {
  return internal::RunAll(*this, inputs, nullptr, nullptr);
}

Results Function::Run(Span<const Tensor> inputs, const RunOptions& options, Trace* trace) const {
  return internal::RunAll(*this, inputs, &options, trace);
}

NamedResults Function::Run(const Named& inputs) const {
  return internal::WithErrors(
      state()->label, [&] { return internal::ByName(*this, Run(internal::Ordered(*state(), inputs))); });
}

NamedResults Function::Run(const Named& inputs, const RunOptions& options, Trace* trace) const {
  return internal::WithErrors(state()->label, [&] {
    return internal::ByName(*this, Run(internal::Ordered(*state(), inputs), options, trace));
  });
}

void Function::RunAsync(const Named& inputs, NamedCallback done, RunOptions options) const {
  internal::CheckCallback(done != nullptr);
  std::vector<Tensor> ordered;
  Callback by_name;
  try {
    internal::WithErrors(state()->label, [&] {
      ordered = internal::Ordered(*state_, inputs);
      by_name = [function = *this, done](const Error* error, std::vector<Tensor> results) {
        if (error != nullptr) return done(error, {});
        NamedResults named;
        try {
          named = internal::WithErrors(function.state_->label,
                                       [&] { return internal::ByName(function, std::move(results)); });
        } catch (const Error& failed) {
          return done(&failed, {});
        }
        done(nullptr, std::move(named));
      };
    });
  } catch (const Error& error) {
    return done(&error, {});
  }
  done = nullptr;
  RunAsync(std::move(ordered), std::move(by_name), std::move(options));
}

}  // namespace savedmodel
