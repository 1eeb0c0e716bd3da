// SPDX-License-Identifier: Apache-2.0
// What is on disk: reading saved_model.pb, and refusing files that TensorFlow would trip over later.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"

namespace savedmodel::engine {

// Below the SavedModel: its optimized functions. TensorFlow's loaders leave assets.extra alone.
inline constexpr char kOptimizedDirectory[] = "assets.extra/savedmodel";

// Throws Error that says what is there instead, if `path` holds no readable SavedModel.
tensorflow::SavedModel ReadSavedModelProto(const std::string& path);

std::vector<tensorflow::AssetFileDef> AssetFiles(const tensorflow::MetaGraphDef& meta_graph);

// False if the asset's path leads out of the SavedModel's folder.
bool StaysInside(const tensorflow::AssetFileDef& asset);

// The names of the tensors that the restore op reads from the variables files; the object graph's may be one.
std::set<std::string> RestoredTensors(const tensorflow::MetaGraphDef& meta_graph);

// Throws unless every asset's path stays in the directory and everything that the graph restores is in
// the variables files at its full length. (TensorFlow loads without it, and fails at the first run.)
void CheckFiles(const std::string& path, const tensorflow::MetaGraphDef& meta_graph);

// Relative path -> bytes, of all files below `path`.
std::map<std::string, std::int64_t> ListFiles(const std::string& path);

}  // namespace savedmodel::engine
