// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/function.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "core/clock.h"
#include "core/model_state.h"
#include "core/shared_pool.h"

namespace savedmodel {
namespace internal {

void CheckOptions(const RunOptions& options) {
  if (options.timeout && !(*options.timeout > 0 && std::isfinite(*options.timeout))) {
    throw UsageError(UsageError::Kind::kValue, "a timeout is a number of seconds greater than 0, got " +
                                                   std::to_string(*options.timeout));
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
  if (call.options != nullptr) CheckOptions(*call.options);
  const std::vector<TensorSpec>& inputs = function.engine().inputs();
  const std::vector<TensorSpec>& outputs = function.engine().outputs();
  CheckCount(function, "takes", "tensors", inputs.size(), call.inputs.size());
  CheckCount(function, "gives", "results", outputs.size(), call.outputs.size());
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
  if (!function.model->options.counters) return body();
  CallCounters& counters = function.bound->counters;
  const std::uint64_t begin = Ticks();
  try {
    body();
  } catch (const Error& error) {
    counters.Failed(error.code());
    throw;
  } catch (...) {
    counters.Failed(Code::kUnknown);
    throw;
  }
  counters.Succeeded(Ticks() - begin);
}

void RunChecked(const FunctionState& function, const RunCall& call) {
  function.engine().Run(call.inputs.data(), call.outputs.data(), call.into, call.options, call.trace);
}

void Run(const FunctionState& function, const RunCall& call) {
  Counted(function, [&] {
    Check(function, call);
    const Visit visit(*function.model);
    RunChecked(function, call);
  });
}

}  // namespace

void RunInside(const FunctionState& function, const RunCall& call) {
  Counted(function, [&] {
    Check(function, call);
    RunChecked(function, call);
  });
}

RunCounters FunctionState::Counters() const {
  RunCounters counters;
  counters.function = label;
  for (const TensorSpec& output : engine().outputs()) counters.outputs.push_back(output.key);
  bound->counters.Read(&counters);
  return counters;
}

}  // namespace internal

const std::vector<TensorSpec>& Function::inputs() const { return state_->engine().inputs(); }
const std::vector<TensorSpec>& Function::outputs() const { return state_->engine().outputs(); }
const std::string& Function::copies_inputs_because() const {
  return state_->engine().copies_inputs_because();
}
RunCounters Function::Counters() const { return state_->Counters(); }

void Function::Run(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options,
                   Trace* trace) const {
  internal::Run(*state_, {inputs, outputs, false, options, trace});
}

void Function::RunInto(Span<const Tensor> inputs, Span<Tensor> outputs, const RunOptions* options,
                       Trace* trace) const {
  internal::Run(*state_, {inputs, outputs, true, options, trace});
}

std::vector<Tensor> Function::Run(Span<const Tensor> inputs) const {
  std::vector<Tensor> results(outputs().size());
  Run(inputs, results);
  return results;
}

std::vector<Tensor> Function::Run(Span<const Tensor> inputs, const RunOptions& options, Trace* trace) const {
  std::vector<Tensor> results(outputs().size());
  Run(inputs, results, &options, trace);
  return results;
}

std::map<std::string, Tensor> Function::Run(const std::map<std::string, Tensor>& inputs) const {
  std::vector<Tensor> ordered;
  for (const TensorSpec& spec : this->inputs()) {
    const auto given = inputs.find(spec.key);
    if (given == inputs.end() && spec.default_value.dtype() == DType::kInvalid) {
      throw UsageError(UsageError::Kind::kArguments,
                       state_->label + " needs the input '" + spec.key + "': " + spec.ToString());
    }
    ordered.push_back(given == inputs.end() ? spec.default_value : given->second);
  }
  for (const auto& [key, tensor] : inputs) {
    const auto& specs = this->inputs();
    if (std::none_of(specs.begin(), specs.end(), [&](const TensorSpec& spec) { return spec.key == key; })) {
      throw UsageError(UsageError::Kind::kArguments, state_->label + " has no input '" + key + "'");
    }
  }
  std::vector<Tensor> results = Run(ordered);
  std::map<std::string, Tensor> named;
  for (std::size_t i = 0; i < results.size(); ++i) named.emplace(outputs()[i].key, std::move(results[i]));
  return named;
}

}  // namespace savedmodel
