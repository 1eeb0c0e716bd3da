// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Time for counters: the CPU's own clock where it ticks evenly, for asking the system's twice costs
// as much as a small model's run.
#pragma once

#include <cstdint>

namespace savedmodel::internal {

std::uint64_t Ticks();

// Measures how long a tick is; the second time it is known, and the better the later.
void CalibrateTicks();
double NanosecondsPerTick();

}  // namespace savedmodel::internal
