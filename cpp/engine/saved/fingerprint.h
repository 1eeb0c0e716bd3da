// SPDX-License-Identifier: Apache-2.0
// Detects whether two directories hold the same SavedModel.
#pragma once

#include <string>

namespace savedmodel::engine {

// Changes with the graph, with any weight, and with the size of any other file outside assets.extra. Reads
// the graph and the index of the variables, which has a checksum of each. Throws Error.
std::string SourceFingerprint(const std::string& path);

// The instruction sets of this machine that TensorFlow's graph optimizer and kernels distinguish.
std::string CpuKind();

}  // namespace savedmodel::engine
