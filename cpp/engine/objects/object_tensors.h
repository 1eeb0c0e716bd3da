// SPDX-License-Identifier: Apache-2.0
// Which tensors of the graph the objects of a TF2 model are: its variables, tables, constants and assets.
#pragma once

#include <map>
#include <string>

#include "engine/objects/graph_walk.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

// The handle that gets the value that variables/ has under a key: of variables, and of tables.
std::map<std::string, std::string> RestoredHandles(const tensorflow::SaverDef& saver, GraphWalk* walk);

// The key under which variables/ of `path` has each object of the object graph; of a table, the start of its
// keys. Empty if there is no such file.
std::map<int, std::string> CheckpointKeys(const std::string& path,
                                          const tensorflow::SavedObjectGraph& objects);

// Tensors that are given to functions of the object graph for an object. Both have the same captures.
std::map<std::string, int> CapturedObjects(const tensorflow::SavedObjectGraph& objects,
                                           const tensorflow::GraphDef& graph, GraphWalk* walk);

// By object. An asset's is the variable that has its path. Reads variables/ of `path`, and not the graph of
// `meta_graph`.
std::map<int, std::string> ObjectTensors(const std::string& path, const tensorflow::MetaGraphDef& meta_graph,
                                         const tensorflow::GraphDef& graph);

}  // namespace savedmodel::engine
