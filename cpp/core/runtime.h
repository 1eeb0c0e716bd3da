// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Opens TensorFlow and the engine, once per process, and detects forks.
#pragma once

#include <cstdint>

#include "core/engine.h"

namespace savedmodel::internal {

// Opens TensorFlow and the engine at the first call. Throws Error.
Engine& GetEngine();

// Starts counting fork()s in ForkGeneration(): objects made under another number have lost their threads.
void CountForks();
std::uint32_t ForkGeneration();
// From now on a forked child cannot use the engine, because TensorFlow has threads.
void MarkThreadsStarted();
// Throws kFailedPrecondition in a child forked after MarkThreadsStarted().
void CheckUsableAfterFork();

}  // namespace savedmodel::internal
