// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace savedmodel::engine {

class Rewriter;

int FuseGelu(Rewriter* graph);

}  // namespace savedmodel::engine
