// SPDX-License-Identifier: Apache-2.0
// Paths that can't be used, and why: in TensorFlow's words, or in the system's, which TensorFlow drops.
#pragma once

#include <string>

namespace savedmodel::engine {

// Throws Error unless it is a directory that may be listed and entered.
void CheckDirectory(const std::string& path);

// Throws Error (kNotFound) for what is there, but is no file that can be read to its end.
void CheckRegularFile(const std::string& path);

// TensorFlow takes the path of a checkpoint for a pattern, and "a[b]" does not match itself. Such a directory
// gets another name, for as long as this lives.
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
