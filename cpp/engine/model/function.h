// SPDX-License-Identifier: Apache-2.0
// A TensorFlow callable with the plan that leads a function's inputs and outputs through it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "engine/model/session.h"

namespace savedmodel::engine {

struct Callee {
  std::string label;                      // begins error messages
  std::vector<TensorSpec> inputs;         // dense
  std::vector<TensorSpec> outputs;        // dense
  std::vector<std::string> targets;       // nodes that are run, too
  std::shared_ptr<const CallGraph> call;  // a graph of its own, of which its tensors are; null: the model's
};

// Throws Error for a tensor that the graph does not have, and for resources and variants, which can't leave
// TensorFlow. `ad_hoc`: it is optimized once it is run again and again.
std::unique_ptr<internal::EngineFunction> BindFunction(std::shared_ptr<SharedSession> session, Callee callee,
                                                       bool ad_hoc = false);

}  // namespace savedmodel::engine
