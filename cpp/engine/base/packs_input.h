// SPDX-License-Identifier: Apache-2.0
// A kernel that packs constant inputs at its first run, and then reads the packed values only.
#pragma once

namespace savedmodel::engine {

class PacksInput {
 public:
  virtual ~PacksInput() = default;
  // True once input number `input` is packed: its values are not read again while it stays the same tensor.
  // Thread-safe.
  virtual bool HasPacked(int input) const = 0;
};

}  // namespace savedmodel::engine
