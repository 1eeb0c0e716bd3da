// SPDX-License-Identifier: Apache-2.0
// How a program whose main thread is inside a run sees that it shall stop: Ctrl-C in an interpreter, say.
#pragma once

#include "savedmodel/export.h"

namespace savedmodel {

// True: the run that asks shall end, with Error kCancelled. It must not throw, nor use this library.
using InterruptCheck = bool (*)();

// `check` is asked in the calling thread, some twenty times a second, from within runs that it makes, between
// their ops and within ours that take long. Null, as at first: nothing is asked. Holds for this thread alone.
SAVEDMODEL_API void SetInterruptCheck(InterruptCheck check);

namespace internal {
SAVEDMODEL_API InterruptCheck InterruptCheckOfThread();
}  // namespace internal

}  // namespace savedmodel
