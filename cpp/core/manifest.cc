// SPDX-License-Identifier: Apache-2.0
#include "core/manifest.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include "core/json.h"
#include "core/sha256.h"
#include "savedmodel/error.h"

namespace savedmodel::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kFormat = 1;

[[noreturn]] void Refuse(const std::string& folder, const std::string& problem) {
  throw Error(Code::kDataLoss, "'" + folder + "' is not what was published: " + problem);
}

std::string Read(const fs::path& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (stream.is_open() && !stream.bad()) return content;
  const bool denied = errno == EACCES || errno == EPERM;
  throw Error(denied ? Code::kPermissionDenied : Code::kUnavailable,
              "'" + file.string() + "' can't be read: " + std::generic_category().message(errno));
}

}  // namespace

std::optional<Manifest> ReadManifest(const std::string& folder) {
  const fs::path file = fs::path(folder) / kManifestFile;
  std::error_code missing;
  const fs::file_status status = fs::status(file, missing);
  if (status.type() == fs::file_type::not_found) return std::nullopt;
  if (status.type() != fs::file_type::regular) Refuse(folder, "the manifest is not a file");
  try {
    Json::Object body = ParseJson(Read(file)).object();
    const Json whole{body};
    body.erase(U"sha256");
    if (ToBytes(whole.at("sha256").text()) != Sha256(DumpJson({body}))) {
      Refuse(folder, "the manifest was changed");
    }
    if (whole.at("format").integer() != kFormat) Refuse(folder, "the manifest has an unknown format");
    Manifest manifest;
    for (const auto& [name, about] : whole.at("files").object()) {
      manifest.sizes[ToBytes(name)] = about.at("size").integer();
    }
    for (const Json& version : whole.at("withdraws").array()) manifest.withdraws.insert(version.integer());
    return manifest;
  } catch (const std::invalid_argument& error) {
    Refuse(folder, std::string("the manifest can't be read: ") + error.what());
  }
}

void CheckComplete(const std::string& folder, const Manifest& manifest, const Stamp& found) {
  for (const auto& [name, size] : manifest.sizes) {
    const auto file = found.find(name);
    if (file == found.end()) Refuse(folder, name + ": missing");
    if (file->second.front() != size) Refuse(folder, name + ": changed");
  }
  for (const auto& [name, about] : found) {
    if (name != kManifestFile && manifest.sizes.count(name) == 0) Refuse(folder, name + ": added");
  }
}

}  // namespace savedmodel::internal
