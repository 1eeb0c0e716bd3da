// SPDX-License-Identifier: Apache-2.0
// Tells whether two directories hold the same SavedModel.
#pragma once

#include <string>

namespace savedmodel::engine {

// Changes with the graph and with any weight, and with the size of any other file but those in assets.extra.
// Reads the graph and the index of the variables, which has a checksum of each. Throws Error.
std::string SourceFingerprint(const std::string& path);

// The instruction sets that TensorFlow's graph optimizer and kernels tell apart here.
std::string CpuKind();

}  // namespace savedmodel::engine
