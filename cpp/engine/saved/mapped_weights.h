// SPDX-License-Identifier: Apache-2.0
// Stores tensors one after the other in a file, and maps it to read them: nothing is copied, and processes
// share the memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/tensor_bundle.pb.h"

namespace savedmodel::engine {

// Returns the position of each, with its checksum. Throws Error.
std::vector<tensorflow::BundleEntryProto> WriteWeights(const std::string& file,
                                                       const std::vector<tensorflow::Tensor>& weights);

// Maps tensors onto the file's pages, which stay mapped until the last tensor is destroyed. No kernel writes
// into them. The file must not be changed meanwhile, only replaced. Throws Error (kDataLoss) for a file that
// is too short or has wrong checksums.
std::vector<tensorflow::Tensor> MapWeights(const std::string& file,
                                           const std::vector<tensorflow::BundleEntryProto>& entries);

}  // namespace savedmodel::engine
