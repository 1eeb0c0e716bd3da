// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The manifest of a published version: assets.extra/savedmodel_manifest.json.
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
  std::map<std::string, std::int64_t> sizes;  // by relative name; all files but the manifest
  std::set<std::int64_t> withdraws;           // versions that a rollback replaced with this one
};

// Returns nothing for a folder without a manifest. Throws Error: kDataLoss if it was changed or is no
// manifest, kPermissionDenied or kUnavailable if the system can't read it.
std::optional<Manifest> ReadManifest(const std::string& folder);

// Throws Error (kDataLoss) unless the folder has exactly the files of the manifest, with their sizes.
void CheckComplete(const std::string& folder, const Manifest& manifest, const Stamp& found);

}  // namespace savedmodel::internal
