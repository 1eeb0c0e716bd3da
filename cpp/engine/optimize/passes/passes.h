// SPDX-License-Identifier: Apache-2.0
// The rewrites, one file each. Each keeps the arithmetic of float32 up to rounding.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

struct Pass {
  struct After {
    const char* pass;
    const char* reason;
  };

  const char* name;
  const char* what;               // for the report
  int (*apply)(Rewriter* graph);  // returns how often it fired
  std::vector<After> after;       // passes that have to run before it
};

// In the order in which they run, between constant folding and TensorFlow's own fusions.
const std::vector<Pass>& Passes();

}  // namespace savedmodel::engine
