// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Opening TensorFlow and the engine, once per process, and noticing a fork.
#pragma once

#include <cstdint>

#include "core/engine.h"

namespace savedmodel::internal {

// Opens TensorFlow and the engine at the first call. Throws Error.
Engine& GetEngine();

// From now on ForkGeneration() counts fork()s: what was made under another number has lost its threads.
void CountForks();
std::uint32_t ForkGeneration();
// From now on a forked child cannot use the engine: TensorFlow has threads.
void MarkThreadsStarted();
// Throws kFailedPrecondition in a child forked after MarkThreadsStarted().
void CheckUsableAfterFork();

}  // namespace savedmodel::internal
