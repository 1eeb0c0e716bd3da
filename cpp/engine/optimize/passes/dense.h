// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace savedmodel::engine {

class Rewriter;

// After FuseGelu and ReplaceTensordot.
int FuseDense(Rewriter* graph);
int ReplaceTensordot(Rewriter* graph);

}  // namespace savedmodel::engine
