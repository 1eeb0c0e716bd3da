// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace savedmodel::engine {

class Rewriter;

int ReplaceSoftmax(Rewriter* graph);

}  // namespace savedmodel::engine
