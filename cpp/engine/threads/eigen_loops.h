// SPDX-License-Identifier: Apache-2.0
// Eigen's and TensorFlow's parallel loops hand a pool tasks as any other, and then sleep until the last has
// run. They are told apart by their types, so that the pool can have the caller work instead.
#pragma once

#include <functional>

namespace savedmodel::engine {

enum class LoopTask {
  kNone,  // anything else
  kRoot,  // the whole loop: its caller waits for it at once, and it schedules its parts
  kPart,  // a part, from the root, another part, or a caller that runs the first part itself
};

LoopTask KindOf(const std::function<void()>& task);

}  // namespace savedmodel::engine
