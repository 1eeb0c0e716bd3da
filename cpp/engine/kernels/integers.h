// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace savedmodel::engine {

// For numbers that are not negative.
inline std::int64_t DivideUp(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t RoundUp(std::int64_t count, std::int64_t unit) { return DivideUp(count, unit) * unit; }

}  // namespace savedmodel::engine
