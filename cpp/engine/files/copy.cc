// SPDX-License-Identifier: Apache-2.0
#include "engine/files/copy.h"

#include <fcntl.h>

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/files/files.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kManifest[] = "assets.extra/savedmodel_manifest.json";  // of publish

bool IsSavedModelOrEmpty(const std::string& path) {
  tf::Env* env = tf::Env::Default();
  std::vector<std::string> children;
  if (!env->GetChildren(path, &children).ok()) return false;
  for (const char* name :
       {tf::kSavedModelFilenamePb, tf::kSavedModelFilenamePbTxt, tf::kSavedModelFilenameCpb}) {
    if (env->FileExists(tf::io::JoinPath(path, name)).ok()) return true;
  }
  return children.empty();
}

// True if `target` exists and may be replaced; throws if it exists and may not.
bool MayReplace(const std::string& target, bool replace) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::symlink_status(target, error);
  if (!std::filesystem::exists(status)) return false;
  const auto refuse = [&](const std::string& why) { throw Error(Code::kAlreadyExists, Quote(target) + why); };
  if (!replace) refuse(" exists already");
  if (std::filesystem::is_symlink(status)) refuse(" is a symbolic link: it is not replaced");
  if (!IsSavedModelOrEmpty(target)) {
    refuse(" is neither a SavedModel nor an empty directory: it is not replaced");
  }
  return true;
}

void Remove(const std::string& path) {
  std::int64_t files = 0;
  std::int64_t folders = 0;
  tf::Env::Default()->DeleteRecursively(path, &files, &folders).IgnoreError();
}

// Readers find the old or the new one, unless the file system can't exchange two names.
void Exchange(const std::string& made, const std::string& target) {
  if (renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    Remove(made);
    return;
  }
  tf::Env* env = tf::Env::Default();
  const std::string old = made + ".old";
  ThrowIfError(env->RenameFile(target, old), Quote(target));
  const absl::Status renamed = env->RenameFile(made, target);
  if (!renamed.ok()) env->RenameFile(old, target).IgnoreError();
  ThrowIfError(renamed, Quote(target));
  Remove(old);
}

}  // namespace

bool SameDirectory(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

void CopyFiles(const std::string& source, const std::string& target,
               const std::function<bool(const std::string&)>& wanted) {
  tf::Env* env = tf::Env::Default();
  for (const auto& [name, size] : ListFiles(source)) {
    const bool optimized = name.rfind(std::string(kOptimizedDirectory) + "/", 0) == 0;
    if (optimized || name == kManifest || !wanted(name)) continue;
    const std::string copy = tf::io::JoinPath(target, name);
    ThrowIfError(env->RecursivelyCreateDir(std::string(tf::io::Dirname(copy))), Quote(copy));
    ThrowIfError(env->CopyFile(tf::io::JoinPath(source, name), copy), Quote(copy));
  }
}

void WriteWhole(const std::string& given, bool replace, const std::function<void(const std::string&)>& fill) {
  if (given.empty()) throw Error(Code::kInvalidArgument, "the path of the target directory is empty");
  const std::string target = tf::io::CleanPath(given);
  MayReplace(target, replace);
  tf::Env* env = tf::Env::Default();
  const std::string parent(tf::io::Dirname(target));
  if (!parent.empty()) ThrowIfError(env->RecursivelyCreateDir(parent), Quote(target));
  const std::string made = target + ".new-" + std::to_string(env->NowNanos());
  ThrowIfError(env->CreateDir(made), Quote(target));
  try {
    fill(made);
    if (MayReplace(target, replace)) {  // another process may have written meanwhile
      Exchange(made, target);
    } else {
      ThrowIfError(env->RenameFile(made, target), Quote(target));
    }
  } catch (...) {
    Remove(made);
    throw;
  }
}

}  // namespace savedmodel::engine
