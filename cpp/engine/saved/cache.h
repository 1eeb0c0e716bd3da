// SPDX-License-Identifier: Apache-2.0
// Optimized functions of all models in one directory, kept from one load to the next: one folder for each
// source, and in it one for each function. Processes share it; each folder appears and vanishes as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/graph/constants.h"
#include "engine/saved/optimized_files.h"

namespace savedmodel::engine {

class OptimizedCache {
 public:
  // Makes the directory, for this user only. Throws Error if it can't, or if others may write to it: what
  // lies there is run.
  OptimizedCache(std::string directory, Origin origin);

  // True if there is a function of this source.
  bool HasAny() const;
  // The entry of a function; null if there is none. One that can't be read is removed. Throws Error.
  std::unique_ptr<const OptimizedFiles> Read(const FunctionGraph& function) const;
  // Adds a function, whose entry is also that of `equal` ones, and removes those used longest ago while all
  // take more than `limit` bytes. Throws Error.
  void Write(const OptimizedFunction& function, const std::vector<FunctionGraph>& equal,
             const ConstantPool& pool, std::int64_t limit = kLimit) const;

  const std::string& directory() const { return directory_; }

  static constexpr std::int64_t kLimit = std::int64_t{8} << 30;

 private:
  const std::string directory_;
  const Origin origin_;
  const std::string folder_;  // of the source
};

}  // namespace savedmodel::engine
