// SPDX-License-Identifier: Apache-2.0
// Checks paths. The errors use TensorFlow's words, or the system's, which TensorFlow drops.
#pragma once

#include <string>

namespace savedmodel::engine {

// Throws Error unless `path` is a directory that may be listed and entered.
void CheckDirectory(const std::string& path);

// Throws Error (kNotFound) for anything that is there but is not a regular file.
void CheckRegularFile(const std::string& path);

// An alias for a directory whose name contains pattern characters, for the lifetime of this object.
// TensorFlow treats a checkpoint's path as a pattern, and "a[b]" does not match itself.
class PlainPath {
 public:
  explicit PlainPath(const std::string& directory);
  ~PlainPath();
  PlainPath(const PlainPath&) = delete;
  PlainPath& operator=(const PlainPath&) = delete;

  const std::string& name() const { return name_; }

 private:
  std::string name_;
  int directory_ = -1;
};

}  // namespace savedmodel::engine
