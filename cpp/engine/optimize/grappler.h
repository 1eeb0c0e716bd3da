// SPDX-License-Identifier: Apache-2.0
// Runs single passes of TensorFlow's own graph optimizer.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/isolate.h"
#include "tensorflow/core/common_runtime/device_set.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// Inlines calls; loops and branches stay functions.
void InlineFunctions(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// Prunes, and removes control edges that order nothing.
void PruneGraph(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// Switches off passes of TensorFlow's that cost time and do nothing on a single CPU device, unless the user
// requested them.
void LeaveOutForOneCpu(tensorflow::ConfigProto* config);
// The same, and folds constants; leaves the arithmetic as it is.
void FoldConstants(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// True if this machine has instructions for bfloat16, without which it is slower than float32.
bool HasBfloat16();
// Uses bfloat16 in products and convolutions: savedmodel's ops get an attribute, TensorFlow's get casts
// around them. Returns the number of savedmodel's ops.
int UseBfloat16(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// Optimizes as a session does: everything that `options` does not switch off, and constant folding only if
// `fold`. Returns a note for the report, or an empty string.
std::string OptimizeAsSession(const tensorflow::SessionOptions& options, const tensorflow::DeviceSet& devices,
                              bool fold, IsolatedGraph* isolated);

}  // namespace savedmodel::engine
