// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Keeps TensorFlow's static variables alive while the process exits.
#pragma once

namespace savedmodel::internal {

// Keeps exit() from destroying static variables that TensorFlow's libraries create on first use from now on,
// such as code generated for a kernel: a run may still use them.
void KeepTensorFlowsStatics();

}  // namespace savedmodel::internal
