// SPDX-License-Identifier: Apache-2.0
// INTERNAL. What a published version consists of: assets.extra/savedmodel_manifest.json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/versions.h"

namespace savedmodel::internal {

inline constexpr char kManifestFile[] =
    "assets.extra/savedmodel_manifest.json";  // below the version's folder

struct Manifest {
  std::map<std::string, std::int64_t> sizes;  // by relative name, of all files but the manifest
  std::set<std::int64_t> withdraws;           // versions that it was published to replace, by a rollback
};

// None of a version that was put there by other means. Throws Error (kDataLoss): it can't be read, or was
// changed.
std::optional<Manifest> ReadManifest(const std::string& folder);

// Throws Error (kDataLoss) unless the files of the manifest are those of the folder, with their sizes.
void CheckComplete(const std::string& folder, const Manifest& manifest, const Stamp& found);

}  // namespace savedmodel::internal
