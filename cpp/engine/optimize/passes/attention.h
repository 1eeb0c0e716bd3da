// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/optimize/rewriter.h"

namespace savedmodel::engine {

int FuseAttention(Rewriter* graph);

}  // namespace savedmodel::engine
