// SPDX-License-Identifier: Apache-2.0
#include "engine/base/paths.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "tensorflow/core/platform/env.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsLocal(const std::string& path) { return path.find("://") == std::string::npos; }

Code CodeOf(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case ENAMETOOLONG:
    case ELOOP:
      return Code::kInvalidArgument;
    default:
      return Code::kUnavailable;
  }
}

[[noreturn]] void Refuse(const std::string& path, int error) {
  struct stat link;
  if (error == ENOENT && lstat(path.c_str(), &link) != 0) {
    throw Error(Code::kNotFound, "no such directory: " + Quote(path));
  }
  const std::string what =
      error == ENOENT ? "the target of this symbolic link does not exist" : std::strerror(error);
  throw Error(CodeOf(error), Quote(path) + " can't be reached: " + what);
}

[[noreturn]] void RefuseFile(const std::string& path) {
  const std::string name = "saved_model.pb";
  const auto slash = path.rfind('/');
  const bool inside = slash != std::string::npos && path.substr(slash + 1) == name;
  throw Error(Code::kNotFound, Quote(path) + " is a file; a SavedModel is a directory" +
                                   (inside ? "; did you mean " + Quote(path.substr(0, slash)) + "?" : ""));
}

void CheckRemote(const std::string& path) {
  tf::Env* env = tf::Env::Default();
  const absl::Status status = env->IsDirectory(path);
  if (status.ok()) return;
  if (status.code() == absl::StatusCode::kFailedPrecondition && env->FileExists(path).ok()) RefuseFile(path);
  if (status.code() == absl::StatusCode::kUnimplemented) {
    throw Error(Code::kUnimplemented, Quote(path) + ": this TensorFlow has no file system for '" +
                                          path.substr(0, path.find("://") + 3) +
                                          "'; copy the SavedModel to a directory of this machine (" +
                                          std::string(status.message()) + ")");
  }
  ThrowIfError(status, Quote(path) + " can't be reached");
}

}  // namespace

void CheckDirectory(const std::string& path) {
  if (path.empty()) throw Error(Code::kInvalidArgument, "the path of a SavedModel is empty");
  if (!IsLocal(path)) return CheckRemote(path);
  struct stat info;
  if (stat(path.c_str(), &info) != 0) Refuse(path, errno);
  if (!S_ISDIR(info.st_mode)) RefuseFile(path);
  if (access(path.c_str(), R_OK | X_OK) != 0) Refuse(path, errno);
}

void CheckRegularFile(const std::string& path) {
  struct stat info;
  if (!IsLocal(path) || stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return;
  throw Error(Code::kNotFound,
              Quote(path) + (S_ISDIR(info.st_mode) ? " is a directory, where a file is expected"
                                                   : " is not a regular file"));
}

PlainPath::PlainPath(const std::string& directory) : name_(directory) {
  if (!IsLocal(directory) || fnmatch(directory.c_str(), directory.c_str(), 0) == 0) return;
  directory_ = open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory_ < 0) {
    throw Error(Code::kInvalidArgument,
                Quote(directory) +
                    ": TensorFlow reads this path as a pattern; rename the directory, or use a "
                    "symbolic link to it");
  }
  name_ = "/proc/self/fd/" + std::to_string(directory_);
}

PlainPath::~PlainPath() {
  if (directory_ >= 0) close(directory_);
}

}  // namespace savedmodel::engine
