// SPDX-License-Identifier: Apache-2.0
// Stores tensors one after the other in a file, and maps it to read them: nothing is copied, and processes
// share the memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/file_system.h"
#include "tensorflow/core/protobuf/tensor_bundle.pb.h"

namespace savedmodel::engine {

// Returns the position of each, with its checksum. Throws Error.
std::vector<tensorflow::BundleEntryProto> WriteWeights(const std::string& file,
                                                       const std::vector<tensorflow::Tensor>& weights);

struct MappedWeights {
  std::vector<tensorflow::Tensor> tensors;
  // Null if there are no tensors. Each tensor holds it too.
  std::shared_ptr<tensorflow::ReadOnlyMemoryRegion> region;
};

// Maps tensors onto the file's pages. No kernel writes into them. The file must not be changed meanwhile,
// only replaced. Throws Error (kDataLoss) for a file that is too short or has wrong checksums.
MappedWeights MapWeights(const std::string& file, const std::vector<tensorflow::BundleEntryProto>& entries);

// Drops the pages from the process's resident memory; one that is needed comes from the page cache.
void DropPages(const MappedWeights& weights);

}  // namespace savedmodel::engine
