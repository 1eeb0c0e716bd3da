// SPDX-License-Identifier: Apache-2.0
// A TensorFlow callable with the plan that leads a function's inputs and outputs through it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "engine/session.h"

namespace savedmodel::engine {

// `inputs` and `outputs` are dense, `label` begins error messages. Throws Error for a tensor that the
// graph does not have, and for resources and variants, which can't leave TensorFlow. `targets`: nodes that
// are run, too. `call`: a graph of the function's own, of which its tensors are; null: the model's.
std::unique_ptr<internal::EngineFunction> BindFunction(std::shared_ptr<SharedSession> session,
                                                       const std::string& label,
                                                       std::vector<TensorSpec> inputs,
                                                       std::vector<TensorSpec> outputs,
                                                       const std::vector<std::string>& targets = {},
                                                       std::shared_ptr<const CallGraph> call = nullptr);

}  // namespace savedmodel::engine
