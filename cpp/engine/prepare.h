// SPDX-License-Identifier: Apache-2.0
// From a function's feeds and fetches to what runs it.
#pragma once

#include <string>
#include <vector>

#include "engine/session.h"
#include "savedmodel/optimization.h"

namespace savedmodel::engine {

struct FunctionGraph {
  std::vector<std::string> feeds;  // tensors
  std::vector<tensorflow::DataType> feed_types;
  std::vector<std::string> fetches;
  std::vector<tensorflow::DataType> fetch_types;
};

// Optimizes the function's graph, if the model is to be optimized, and makes an executor for it, which
// `shared` owns. Null, with the reason in `report`, if the session has to run it.
const GraphExecutor* PrepareExecutor(SharedSession* shared, const FunctionGraph& function,
                                     OptimizationReport* report);

}  // namespace savedmodel::engine
