// SPDX-License-Identifier: Apache-2.0
// INTERNAL. What TF_CPP_MIN_LOG_LEVEL asks for.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace savedmodel::internal {

constexpr int kFatalOnly = 3;

// The least severity of what goes to stderr: 0 for information, 1 warnings, 2 errors. TensorFlow itself
// writes what it says as it is opened whatever the level.
inline int StderrLevel() {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  return level == nullptr ? kFatalOnly : std::clamp(std::atoi(level), 0, kFatalOnly);
}

}  // namespace savedmodel::internal
