// SPDX-License-Identifier: Apache-2.0
// INTERNAL. What TensorFlow has in static variables, while the process exits.
#pragma once

namespace savedmodel::internal {

// From now on, static variables that TensorFlow's libraries make when they first need them (code that was
// generated for a kernel, say) are not destroyed by exit(): a run may be in them when it is called.
void KeepTensorFlowsStatics();

}  // namespace savedmodel::internal
