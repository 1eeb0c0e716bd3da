// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace savedmodel::python {

// What is due when a call is back with the GIL: TensorFlow's log records, objects that it let go of.
// Nearly free when there is nothing. Requires GIL.
void AfterCall();

}  // namespace savedmodel::python
