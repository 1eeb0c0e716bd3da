// SPDX-License-Identifier: Apache-2.0
// What inlined functions leave behind, taken away before TensorFlow's passes look at it: their time grows
// with the number of nodes and edges.
#pragma once

#include "engine/graph/isolate.h"

namespace savedmodel::engine {

// Drops edges that wait for nodes without effects, Identity nodes, colocations (there is one device) and
// nodes that nothing needs. What a constant or an Identity node waits for, its readers wait for instead, so
// that passes may take its value. A graph with v1 control flow stays as it is.
void Tidy(IsolatedGraph* isolated);

}  // namespace savedmodel::engine
