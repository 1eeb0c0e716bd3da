// SPDX-License-Identifier: Apache-2.0
// Quotes names in error messages.
#pragma once

#include <string>

namespace savedmodel::engine {

inline std::string Quote(const std::string& text) { return "'" + text + "'"; }

}  // namespace savedmodel::engine
