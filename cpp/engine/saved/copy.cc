// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/copy.h"

#include <filesystem>
#include <system_error>

#include "engine/files.h"
#include "engine/saved/optimized_files.h"
#include "engine/status.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

void CopyFiles(const std::string& source, const std::string& target) {
  tf::Env* env = tf::Env::Default();
  for (const auto& [name, size] : ListFiles(source)) {
    if (name.rfind(std::string(kOptimizedDirectory) + "/", 0) == 0) continue;
    const std::string copy = tf::io::JoinPath(target, name);
    ThrowIfError(env->RecursivelyCreateDir(std::string(tf::io::Dirname(copy))), "'" + copy + "'");
    ThrowIfError(env->CopyFile(tf::io::JoinPath(source, name), copy), "'" + copy + "'");
  }
}

}  // namespace

bool SameDirectory(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

void CopySavedModel(const std::string& source, const std::string& target,
                    const std::function<void(const std::string& copy)>& complete) {
  tf::Env* env = tf::Env::Default();
  if (target.empty()) throw Error(Code::kInvalidArgument, "the directory to write to has no name");
  if (env->FileExists(target).ok()) throw Error(Code::kAlreadyExists, "'" + target + "' exists already");
  const std::string copy = tf::io::CleanPath(target) + ".new-" + std::to_string(env->NowNanos());
  try {
    CopyFiles(source, copy);
    complete(copy);
    ThrowIfError(env->RenameFile(copy, target), "'" + target + "'");
  } catch (...) {
    std::int64_t files = 0;
    std::int64_t folders = 0;
    env->DeleteRecursively(copy, &files, &folders).IgnoreError();
    throw;
  }
}

}  // namespace savedmodel::engine
