// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/shared_constants.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <string_view>

#include "engine/base/tensors.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Of the type, the size and the ends: enough to tell most apart, and all bytes are compared later.
std::size_t Hash(const tf::Tensor& value) {
  constexpr std::size_t kEnd = 4096;
  const std::size_t bytes = value.TotalBytes(), end = std::min(kEnd, bytes);
  const auto* data = static_cast<const char*>(value.data());
  const std::hash<std::string_view> of;
  const std::size_t ends = of({data, end}) * 31 + of({data + bytes - end, end});
  return (ends * 31 + bytes) * 31 + static_cast<std::size_t>(value.dtype());
}

bool SameBytes(const tf::Tensor& a, const tf::Tensor& b) {
  return a.dtype() == b.dtype() && a.TotalBytes() == b.TotalBytes() &&
         (a.data() == b.data() || std::memcmp(a.data(), b.data(), a.TotalBytes()) == 0);
}

}  // namespace

void SharedConstants::Share(ConstantPool* pool) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (tf::Tensor& value : pool->values()) {
    if (!ConstantPool::Takes(value)) continue;
    const std::size_t hash = Hash(value);
    const auto [begin, end] = values_.equal_range(hash);
    const auto found =
        std::find_if(begin, end, [&](const auto& known) { return SameBytes(known.second, value); });
    if (found == end) {
      values_.emplace(hash, value);
      continue;
    }
    tf::Tensor shared;  // of its own shape: a reshape of a constant is the same memory
    if (shared.CopyFrom(found->second, value.shape())) value = shared;
  }
}

void SharedConstants::DropUnused() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto entry = values_.begin(); entry != values_.end();) {
    if (entry->second.RefCountIsOne()) {
      FreePages(std::move(entry->second));
      entry = values_.erase(entry);
    } else {
      ++entry;
    }
  }
}

bool SharedConstants::Forget(const tf::Tensor& value) {
  const std::lock_guard<std::mutex> lock(mutex_);
  bool found = false;
  for (auto entry = values_.begin(); entry != values_.end();) {
    const bool same = entry->second.data() == value.data();
    found = found || same;
    entry = same ? values_.erase(entry) : std::next(entry);
  }
  return found;
}

void SharedConstants::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [hash, value] : values_) FreePages(std::move(value));
  values_.clear();
}

std::size_t SharedConstants::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return values_.size();
}

}  // namespace savedmodel::engine
