// SPDX-License-Identifier: Apache-2.0
// Makes the executor of a function, given its feeds and fetches.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/graph/constants.h"
#include "engine/graph/isolate.h"
#include "engine/graph/origins.h"
#include "engine/graph/plan.h"
#include "engine/model/session.h"
#include "savedmodel/optimization.h"

namespace savedmodel::engine {

// The function's graph as it was loaded; `call` as BindFunction has it.
IsolatedGraph IsolateFunction(SharedSession& shared, const CallGraph* call, const FunctionGraph& function);
// Optimizes a function's graph. The variables in `kept` (VariableKey) stay variables; those that become
// constants go to `frozen`. The session is open, and its variables have their values. Adds to `report`.
// Throws Error; `isolated` is then unusable.
void OptimizeFunction(SharedSession* shared, const std::set<std::string>& kept, ConstantPool* pool,
                      IsolatedGraph* isolated, std::set<std::string>* frozen, OptimizationReport* report);

// Optimizes the function's graph, if the model is to be optimized and `optimize` says so, and makes an
// executor for it, which `shared` owns. Null, with the reason in `report`, if the session has to run it.
const GraphExecutor* PrepareExecutor(SharedSession* shared, const CallGraph* call,
                                     const FunctionGraph& function, bool optimize,
                                     OptimizationReport* report);
// The same for the graph as it was loaded, which may be asked for later; `bare`: TensorFlow's own optimizer
// and its passes for oneDNN leave it alone. Throws Error.
const GraphExecutor* PreparePlain(SharedSession* shared, const CallGraph* call, const FunctionGraph& function,
                                  bool bare, OptimizationReport* report);

// Finds the original nodes that each node of an optimized function's executor computes; empty if that can't
// be found.
Origins FindOrigins(SharedSession* shared, const CallGraph* call, const FunctionGraph& function,
                    const GraphExecutor& executor);

// Frees the session, whose variables then nothing reads, if each of these functions has an executor that
// needs none. With prepared.mutex only.
void FreeUnusedSession(SharedSession* shared, const std::vector<FunctionGraph>& functions);

// Whether the graph or one of its functions has convolutions.
bool Convolves(const tensorflow::GraphDef& graph);

}  // namespace savedmodel::engine
