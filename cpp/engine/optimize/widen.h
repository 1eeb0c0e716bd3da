// SPDX-License-Identifier: Apache-2.0
// Computes in float32 what a graph computes in float16 or bfloat16, as mixed-precision training leaves it:
// TensorFlow's kernels for these types are slow on a CPU, and round after each op.
#pragma once

#include <string>

#include "engine/graph/isolate.h"

namespace savedmodel::engine {

struct Widened {
  int nodes = 0;
  std::string why_not;  // why a graph with products in these types stays as it is
};

// Feeds, fetches and variables keep their types. Changes all of the graph and the functions that it calls, or
// nothing. Leaves a graph without products in these types alone.
Widened Widen(IsolatedGraph* isolated);

}  // namespace savedmodel::engine
