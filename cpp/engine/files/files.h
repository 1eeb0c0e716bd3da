// SPDX-License-Identifier: Apache-2.0
// Reads saved_model.pb, and checks files that would make TensorFlow fail later.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"

namespace savedmodel::engine {

// The folder of the optimized functions in a SavedModel. TensorFlow's loaders ignore assets.extra.
inline constexpr char kOptimizedDirectory[] = "assets.extra/savedmodel";

// Throws Error, describing what is there instead, if `path` holds no readable SavedModel.
tensorflow::SavedModel ReadSavedModelProto(const std::string& path);

std::vector<tensorflow::AssetFileDef> AssetFiles(const tensorflow::MetaGraphDef& meta_graph);

// False if the asset's path leads outside the SavedModel's folder.
bool StaysInside(const tensorflow::AssetFileDef& asset);

// The names of the tensors that the restore op reads from the variables files, including the object graph's.
std::set<std::string> RestoredTensors(const tensorflow::MetaGraphDef& meta_graph);

// Throws unless every asset's path stays in the directory, and the variables files hold everything that the
// graph restores at full length. (Without this, TensorFlow loads the model and fails at the first run.)
void CheckFiles(const std::string& path, const tensorflow::MetaGraphDef& meta_graph);

// Maps the relative path of each file below `path` to its size in bytes.
std::map<std::string, std::int64_t> ListFiles(const std::string& path);

}  // namespace savedmodel::engine
