// SPDX-License-Identifier: Apache-2.0
// Tensors one after the other in a file, read by mapping it: nothing is copied, and processes share the
// memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/tensor_bundle.pb.h"

namespace savedmodel::engine {

// Where each went, with its checksum. Throws Error.
std::vector<tensorflow::BundleEntryProto> WriteWeights(const std::string& file,
                                                       const std::vector<tensorflow::Tensor>& weights);

// Tensors on the file's pages, which stay mapped until the last of them goes; no kernel writes into them.
// The file must not be changed meanwhile, only replaced. Throws Error (kDataLoss) for a file that is too
// short or whose checksums are wrong.
std::vector<tensorflow::Tensor> MapWeights(const std::string& file,
                                           const std::vector<tensorflow::BundleEntryProto>& entries);

}  // namespace savedmodel::engine
