// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

int FuseAttention(Rewriter* graph);

}  // namespace savedmodel::engine
