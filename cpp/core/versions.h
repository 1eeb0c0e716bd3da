// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The version folders of a model, in TensorFlow Serving's layout.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace savedmodel::internal {

// Returns the folders in `directory` whose names are integers. Throws Error (kNotFound).
std::map<std::int64_t, std::string> ListVersions(const std::string& directory);

// Returns whether the folder has a saved_model file. A folder that is being copied may not have it yet.
bool IsSavedModel(const std::string& folder);

// The size, modification time and inode of each file below a folder, by relative name. Follows links.
// Throws std::system_error; Error for anything that is neither a file nor a folder.
using Stamp = std::map<std::string, std::array<std::int64_t, 4>>;
Stamp StampOf(const std::string& folder);

// Returns a lock that keeps a version from being removed. Null if the folder is gone, or is being removed.
std::shared_ptr<const void> HoldVersion(const std::string& folder);

}  // namespace savedmodel::internal
