// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The threads in which RunAsync runs where a service has given none.
#pragma once

#include <functional>

namespace savedmodel::internal {

// Runs `task`, which must not throw, in one of as many threads as the process may use CPUs; they are started
// when needed, and never end. Throws std::system_error if there is no thread, and none can be started.
void ScheduleShared(std::function<void()> task);

}  // namespace savedmodel::internal
