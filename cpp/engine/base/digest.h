// SPDX-License-Identifier: Apache-2.0
// A short name for bytes: 128 bits of hashes, no protection against intent.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/str_format.h"
#include "tensorflow/core/platform/hash.h"

namespace savedmodel::engine {

inline std::string Digest(const std::string& bytes) {
  const std::uint64_t first = tensorflow::Hash64(bytes.data(), bytes.size(), 0);
  return absl::StrFormat("%016x%016x", first, tensorflow::Hash64(bytes.data(), bytes.size(), ~first));
}

}  // namespace savedmodel::engine
