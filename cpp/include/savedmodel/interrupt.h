// SPDX-License-Identifier: Apache-2.0
// Lets a program end a run of its main thread, for example on Ctrl-C in an interpreter.
#pragma once

#include "savedmodel/export.h"

namespace savedmodel {

// Returns true to end the calling run with Error kCancelled. Must not throw, and must not use this library.
using InterruptCheck = bool (*)();

// Runs of the calling thread call `check` about twenty times a second, between ops and within long-running
// ops of this library. Null, the initial value, turns this off. Applies to this thread only.
SAVEDMODEL_API void SetInterruptCheck(InterruptCheck check);
// The check of the calling thread.
SAVEDMODEL_API InterruptCheck GetInterruptCheck();

}  // namespace savedmodel
