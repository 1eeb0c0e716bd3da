// SPDX-License-Identifier: Apache-2.0
// LoadOptions::device -> devices on nodes, and where TensorFlow's placer puts them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// "gpu:1" -> "/device:GPU:1"; throws Error if it is not the name of a device.
std::string FullDeviceName(const std::string& device);

// Before a load: with soft placement TensorFlow would put nodes elsewhere without a word. Throws Error.
void CheckDeviceExists(const std::string& device, const tensorflow::SessionOptions& options);

// Writes `device` on every node of the graph and of its functions that has none.
void AssignDevice(const std::string& device, tensorflow::GraphDef* graph);

// Nodes per device, of the graph and of the functions that it calls.
std::map<std::string, std::int64_t> CountPlacement(const tensorflow::GraphDef& graph,
                                                   const std::vector<tensorflow::Device*>& devices,
                                                   bool allow_soft_placement);

}  // namespace savedmodel::engine
