// SPDX-License-Identifier: Apache-2.0
// Computes in float32 what a graph computes in float16 or bfloat16, as mixed-precision training leaves it:
// TensorFlow's kernels for these types are slow on a CPU, and round after each op.
#pragma once

#include <string>
#include <unordered_set>

#include "engine/graph/isolate.h"

namespace savedmodel::engine {

struct Widened {
  int nodes = 0;
  std::string why_not;  // why a graph with products in these types stays as it is
  // Nodes whose factors were bfloat16: on a CPU with instructions for it they may be rounded to it again.
  std::unordered_set<std::string> bfloat16_products;
};

// Feeds, fetches and variables keep their types. Changes all of the graph and the functions that it calls, or
// nothing. Leaves a graph without products in these types alone.
Widened Widen(IsolatedGraph* isolated);
// Products of savedmodel's own ops round their factors to bfloat16 as those that they replaced did. Returns
// their number.
int NarrowProducts(const Widened& widened, IsolatedGraph* isolated);

}  // namespace savedmodel::engine
