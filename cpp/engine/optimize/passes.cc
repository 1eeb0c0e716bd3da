// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes.h"

namespace savedmodel::engine {

const std::vector<Pass>& Passes() {
  static const auto* const passes = new std::vector<Pass>{};
  return *passes;
}

}  // namespace savedmodel::engine
