// SPDX-License-Identifier: Apache-2.0
// TensorFlow's own graph optimizer, asked for some of its passes.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/isolate.h"
#include "tensorflow/core/common_runtime/device_set.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// Inlines calls; loops and branches stay functions.
void InlineFunctions(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// Prunes, and drops control edges that order nothing.
void PruneGraph(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// Switches off, unless the user has asked for them, passes of TensorFlow's that do nothing where there is but
// one CPU, and take their time.
void LeaveOutForOneCpu(tensorflow::ConfigProto* config);
// The same, and folds what is constant; leaves the arithmetic as it is.
void FoldConstants(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// Whether this machine has instructions for bfloat16, without which it is slower than float32.
bool HasBfloat16();
// Products and convolutions in bfloat16: our own ops are told so, and casts surround what is left to
// TensorFlow. Returns how many of our own there are.
int UseBfloat16(const tensorflow::DeviceSet& devices, IsolatedGraph* isolated);
// What a session does: everything that `options` does not switch off, and constant folding only if `fold`.
// Returns a note for the report, if there is one.
std::string OptimizeAsSession(const tensorflow::SessionOptions& options, const tensorflow::DeviceSet& devices,
                              bool fold, IsolatedGraph* isolated);

}  // namespace savedmodel::engine
