// SPDX-License-Identifier: Apache-2.0
#include "core/versions.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "savedmodel/error.h"

namespace savedmodel::internal {
namespace {

namespace fs = std::filesystem;

std::optional<std::int64_t> VersionNumber(std::string_view name) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool digits = !name.empty() && name.front() != '-' && end == name.data() + name.size();
  return digits && error == std::errc() ? std::optional(number) : std::nullopt;
}

bool IsSavedModel(const fs::path& folder) {
  std::error_code ignored;
  for (const char* name : {"saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"}) {
    if (fs::is_regular_file(folder / name, ignored)) return true;
  }
  return false;
}

}  // namespace

std::map<std::int64_t, std::string> ListVersions(const std::string& directory) {
  std::map<std::int64_t, std::string> versions;
  try {
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename();
      const auto number = VersionNumber(name);
      if (!number || !IsSavedModel(entry.path())) continue;
      // "7" goes before "007".
      if (name.front() != '0' || versions.count(*number) == 0) versions[*number] = entry.path();
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(Code::kNotFound, "can't list '" + directory + "': " + error.code().message());
  }
  return versions;
}

Stamp StampOf(const std::string& folder) {
  Stamp stamp;
  try {
    const auto options =
        fs::directory_options::follow_directory_symlink | fs::directory_options::skip_permission_denied;
    for (const auto& entry : fs::recursive_directory_iterator(folder, options)) {
      struct stat about = {};
      if (entry.is_directory() || stat(entry.path().c_str(), &about) != 0) continue;
      stamp[entry.path()] = {about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec,
                             static_cast<std::int64_t>(about.st_ino)};
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(Code::kUnavailable, "can't read '" + folder + "': " + error.code().message());
  }
  return stamp;
}

std::shared_ptr<const void> HoldVersion(const std::string& folder) {
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return nullptr;
  const std::shared_ptr<const int> lock(new int(file), [owner = getpid()](const int* held) {
    if (getpid() == owner) flock(*held, LOCK_UN);  // who was forked meanwhile has the file open still
    close(*held);
    delete held;
  });
  struct stat opened = {};
  struct stat there = {};
  // Who removes it locks it, and renames it then.
  if (flock(file, LOCK_SH | LOCK_NB) != 0 || fstat(file, &opened) != 0 || stat(folder.c_str(), &there) != 0 ||
      opened.st_ino != there.st_ino || opened.st_dev != there.st_dev) {
    return nullptr;
  }
  return lock;
}

}  // namespace savedmodel::internal
