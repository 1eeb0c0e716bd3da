// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/interrupt.h"

namespace savedmodel {
namespace {
thread_local InterruptCheck of_thread = nullptr;
}  // namespace

void SetInterruptCheck(InterruptCheck check) { of_thread = check; }

InterruptCheck internal::InterruptCheckOfThread() { return of_thread; }

}  // namespace savedmodel
