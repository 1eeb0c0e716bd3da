// SPDX-License-Identifier: Apache-2.0
#include "core/batch/block.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace savedmodel::internal {
namespace {

struct Block {
  const Shape& to;
  const Shape& from;
  const Shape& block;
  std::size_t contiguous;  // the axes from this one on lie in one piece, in both arrays
  std::size_t bytes;       // of such a piece

  void Copy(char* target, const char* source, std::size_t axis, std::size_t to_stride,
            std::size_t from_stride) const {
    if (axis == contiguous) {
      std::memcpy(target, source, bytes);
      return;
    }
    to_stride /= static_cast<std::size_t>(to[axis]);
    from_stride /= static_cast<std::size_t>(from[axis]);
    for (std::int64_t i = 0; i < block[axis]; ++i) {
      Copy(target, source, axis + 1, to_stride, from_stride);
      target += to_stride;
      source += from_stride;
    }
  }
};

std::size_t Offset(const Shape& shape, BlockStart start, std::size_t size) {
  std::size_t stride = size;
  for (std::size_t axis = start.axis + 1; axis < shape.size(); ++axis) {
    stride *= static_cast<std::size_t>(shape[axis]);
  }
  return start.index * stride;
}

}  // namespace

void CopyBlock(const BlockPlace<void*>& to, const BlockPlace<const void*>& from, const Shape& block,
               std::size_t size) {
  if (block.num_elements() == 0) return;
  std::size_t axis = block.size(), bytes = size;
  while (axis > 0) {
    --axis;
    bytes *= static_cast<std::size_t>(block[axis]);
    if (block[axis] != to.shape[axis] || block[axis] != from.shape[axis]) break;
  }
  const Block copied{to.shape, from.shape, block, axis, bytes};
  copied.Copy(static_cast<char*>(to.data) + Offset(to.shape, to.start, size),
              static_cast<const char*>(from.data) + Offset(from.shape, from.start, size), 0,
              to.shape.num_elements() * size, from.shape.num_elements() * size);
}

void FillBlock(void* data, std::size_t count, const void* element, std::size_t size) {
  if (count == 0) return;
  auto* bytes = static_cast<char*>(data);
  std::memcpy(bytes, element, size);
  for (std::size_t done = 1; done < count; done *= 2) {
    std::memcpy(bytes + done * size, bytes, std::min(done, count - done) * size);
  }
}

}  // namespace savedmodel::internal
