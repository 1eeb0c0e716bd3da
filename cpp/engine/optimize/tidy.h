// SPDX-License-Identifier: Apache-2.0
// Removes leftovers of inlining before TensorFlow's passes run, because their time grows with the number of
// nodes and edges.
#pragma once

#include "engine/graph/isolate.h"

namespace savedmodel::engine {

// Removes control edges from nodes without effects, Identity nodes, colocations (there is one device) and
// unneeded nodes. If a constant or an Identity node waits for a node, its readers wait for that node instead,
// so that passes may use its value. A graph with v1 control flow stays unchanged.
void Tidy(IsolatedGraph* isolated);

}  // namespace savedmodel::engine
