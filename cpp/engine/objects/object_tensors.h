// SPDX-License-Identifier: Apache-2.0
// Maps the objects of a TF2 model (variables, tables, constants, assets) to tensors of the graph.
#pragma once

#include <map>
#include <string>

#include "engine/objects/graph_walk.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

// The handle that receives the value stored in variables/ under a key: of variables, and of tables.
std::map<std::string, std::string> RestoredHandles(const tensorflow::SaverDef& saver, GraphWalk* walk);

// The key in variables/ of `path` of each object of the object graph; for a table, the prefix of its keys.
// Empty if there is no such file.
std::map<int, std::string> CheckpointKeys(const std::string& path,
                                          const tensorflow::SavedObjectGraph& objects);

// Tensors that functions of the object graph capture, with their objects. A function and its call have the
// same captures.
std::map<std::string, int> CapturedObjects(const tensorflow::SavedObjectGraph& objects,
                                           const tensorflow::GraphDef& graph, GraphWalk* walk);

// The tensor of each object. An asset's is the variable that holds its path. Reads variables/ of `path`, but
// not the graph of `meta_graph`.
std::map<int, std::string> ObjectTensors(const std::string& path, const tensorflow::MetaGraphDef& meta_graph,
                                         const tensorflow::GraphDef& graph);

}  // namespace savedmodel::engine
