// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace savedmodel::engine {

class Rewriter;

// After FuseGelu.
int FuseDense(Rewriter* graph);

}  // namespace savedmodel::engine
