// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Time for counters. Uses the CPU's own clock if it ticks evenly, because two readings of the
// system's cost as much as a small model's run.
#pragma once

#include <cstdint>

namespace savedmodel::internal {

std::uint64_t Ticks();

// Measures the length of a tick. It is known from the second call on, and more exact with each later call.
void CalibrateTicks();
double NanosecondsPerTick();

}  // namespace savedmodel::internal
