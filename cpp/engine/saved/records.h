// SPDX-License-Identifier: Apache-2.0
// Stores an optimized function as a MetaGraphDef: its graph, and its description in collections.
#pragma once

#include <vector>

#include "engine/saved/optimized_files.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/protobuf/tensor_bundle.pb.h"

namespace savedmodel::engine {

struct Manifest {
  Origin origin;
  std::vector<tensorflow::BundleEntryProto> weights;  // by number
};

void WriteManifest(const Manifest& manifest, tensorflow::MetaGraphDef* record);
Manifest ReadManifest(const tensorflow::MetaGraphDef& record);

void WriteFunction(const OptimizedFunction& function, tensorflow::MetaGraphDef* record);
// Moves the graph out of `record`. Throws Error (kDataLoss).
OptimizedFunction ReadFunction(tensorflow::MetaGraphDef* record);

}  // namespace savedmodel::engine
