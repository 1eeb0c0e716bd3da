// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

// Behind the others, which look for such nodes in their patterns.
int FuseArithmetic(Rewriter* graph);

}  // namespace savedmodel::engine
