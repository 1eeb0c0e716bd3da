// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Switches in the environment.
#pragma once

#include <cstdlib>
#include <string_view>

namespace savedmodel::internal {

// True unless the variable is missing, empty or "0".
inline bool IsSwitchedOn(const char* name) {
  const char* setting = std::getenv(name);
  return setting != nullptr && *setting != 0 && std::string_view(setting) != "0";
}

}  // namespace savedmodel::internal
