// SPDX-License-Identifier: Apache-2.0
#include "core/versions.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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

constexpr int kDeepest = 32;  // nested folders; a link may form a cycle

[[noreturn]] void RefuseToRead(const fs::path& path, const std::error_code& error) {
  throw std::system_error(error, "can't read '" + path.string() + "'");
}

void Walk(const fs::path& folder, const std::string& below, int depth, Stamp* stamp) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  if (!error && depth > kDeepest) error = std::make_error_code(std::errc::too_many_symbolic_link_levels);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = below + entry->path().filename().string();
    struct stat about = {};
    if (stat(entry->path().c_str(), &about) != 0) {
      RefuseToRead(entry->path(), std::error_code(errno, std::generic_category()));
    }
    if (S_ISDIR(about.st_mode)) {
      Walk(entry->path(), name + "/", depth + 1, stamp);
    } else if (S_ISREG(about.st_mode)) {
      (*stamp)[name] = {about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec,
                        static_cast<std::int64_t>(about.st_ino)};
    } else {
      throw Error(Code::kInvalidArgument, "'" + entry->path().string() + "' is neither a file nor a folder");
    }
  }
  if (error) RefuseToRead(folder, error);
}

}  // namespace

bool IsSavedModel(const std::string& folder) {
  std::error_code ignored;
  for (const char* name : {"saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"}) {
    if (fs::is_regular_file(fs::path(folder) / name, ignored)) return true;
  }
  return false;
}

std::map<std::int64_t, std::string> ListVersions(const std::string& directory) {
  std::map<std::int64_t, std::string> versions;
  try {
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename();
      const auto number = VersionNumber(name);
      std::error_code ignored;
      if (!number || !entry.is_directory(ignored)) continue;
      // "7" takes precedence over "007".
      if (name.front() != '0' || versions.count(*number) == 0) versions[*number] = entry.path();
    }
  } catch (const fs::filesystem_error& error) {
    const bool missing =
        error.code() == std::errc::no_such_file_or_directory || error.code() == std::errc::not_a_directory;
    throw Error(Code::kNotFound, missing ? "no such directory: '" + directory + "'"
                                         : "can't list '" + directory + "': " + error.code().message());
  }
  return versions;
}

Stamp StampOf(const std::string& folder) {
  Stamp stamp;
  Walk(folder, "", 0, &stamp);
  return stamp;
}

std::shared_ptr<const void> HoldVersion(const std::string& folder) {
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return nullptr;
  const std::shared_ptr<const int> lock(new int(file), [owner = getpid()](const int* held) {
    if (getpid() == owner) flock(*held, LOCK_UN);  // a forked child still has the file open
    close(*held);
    delete held;
  });
  struct stat opened = {};
  struct stat there = {};
  // A process that removes the folder locks it first, then renames it.
  if (flock(file, LOCK_SH | LOCK_NB) != 0 || fstat(file, &opened) != 0 || stat(folder.c_str(), &there) != 0 ||
      opened.st_ino != there.st_ino || opened.st_dev != there.st_dev) {
    return nullptr;
  }
  return lock;
}

}  // namespace savedmodel::internal
