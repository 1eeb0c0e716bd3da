// SPDX-License-Identifier: Apache-2.0
// Keeps one copy of equal constants: each function folds its weights for itself, and many give the same.
#pragma once

#include <cstddef>
#include <mutex>
#include <unordered_map>

#include "engine/graph/constants.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

// Thread-safe.
class SharedConstants {
 public:
  // Values of `pool` that another function has, byte for byte, become that one's. The others are kept for
  // functions to come, as long as somebody else holds them.
  void Share(ConstantPool* pool);
  void DropUnused();
  // Functions to come do not get this value. False if it is none of these.
  bool Forget(const tensorflow::Tensor& value);
  void Clear();
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_multimap<std::size_t, tensorflow::Tensor> values_;
};

}  // namespace savedmodel::engine
