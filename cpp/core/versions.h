// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The version folders of a model, in TensorFlow Serving's layout.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace savedmodel::internal {

// The folders of `directory` that are named by an integer. Throws Error (kNotFound).
std::map<std::int64_t, std::string> ListVersions(const std::string& directory);

// Whether the file that every SavedModel has is there: not in a folder that is being copied, say.
bool IsSavedModel(const std::string& folder);

// Size, time of the last change and inode of each file below a folder, by relative name; links are followed.
// Throws std::system_error, and Error for what is no file.
using Stamp = std::map<std::string, std::array<std::int64_t, 4>>;
Stamp StampOf(const std::string& folder);

// Keeps a version from being removed, as long as it lives; null if the folder is gone, or about to go.
std::shared_ptr<const void> HoldVersion(const std::string& folder);

}  // namespace savedmodel::internal
