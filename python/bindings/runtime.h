// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace savedmodel::python {

// What is due when a call is back with the GIL: TensorFlow's log records, objects that it let go of.
// Nearly free when there is nothing. Requires GIL.
void AfterCall();

// From here on Ctrl-C ends runs of the calling thread, if that is the main one. Requires GIL.
void WatchForInterrupts();

}  // namespace savedmodel::python
