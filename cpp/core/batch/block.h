// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Copies blocks between dense row-major arrays of the same rank.
#pragma once

#include <cstddef>

#include "savedmodel/shape.h"

namespace savedmodel::internal {

// Begins at `index` of `axis`, and at 0 of all others.
struct BlockStart {
  std::size_t axis = 0, index = 0;
};

template <typename Data>
struct BlockPlace {
  Data data;
  Shape shape;  // of the array
  BlockStart start;
};

// Copies a block of the shape `block`, of elements of `size` bytes.
void CopyBlock(const BlockPlace<void*>& to, const BlockPlace<const void*>& from, const Shape& block,
               std::size_t size);

// Sets `count` elements.
void FillBlock(void* data, std::size_t count, const void* element, std::size_t size);

}  // namespace savedmodel::internal
