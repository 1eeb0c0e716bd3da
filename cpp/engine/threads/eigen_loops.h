// SPDX-License-Identifier: Apache-2.0
// Eigen's and TensorFlow's parallel loops schedule ordinary tasks, and then sleep until the last has run. The
// types of the tasks identify them, so that the pool can make the caller work instead.
#pragma once

#include <functional>

namespace savedmodel::engine {

enum class LoopTask {
  kNone,  // anything else
  kRoot,  // the whole loop: its caller waits for it, and it schedules the parts
  kPart,  // a part; scheduled by the root, another part, or a caller that runs the first part itself
};

LoopTask KindOf(const std::function<void()>& task);

}  // namespace savedmodel::engine
