// SPDX-License-Identifier: Apache-2.0
// Buffers of floats, aligned to cache lines.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace savedmodel::engine {

class Floats {
 public:
  explicit Floats(std::int64_t count = 0, bool zeros = true) {
    if (count == 0) return;
    const auto bytes = static_cast<std::size_t>(count) * sizeof(float);
    data_.reset(static_cast<float*>(::operator new(bytes, std::align_val_t(kAlign))));
    if (zeros) std::memset(data_.get(), 0, bytes);
  }
  float* get() const { return data_.get(); }

 private:
  static constexpr std::size_t kAlign = 64;
  struct Delete {
    void operator()(float* p) const { ::operator delete(p, std::align_val_t(kAlign)); }
  };
  std::unique_ptr<float, Delete> data_;
};

// A buffer of the calling thread, valid until `User` requests it again; it never shrinks.
template <typename User = void>
float* ThreadRoom(std::int64_t floats) {
  thread_local Floats room;
  thread_local std::int64_t size = 0;
  if (size < floats) {
    room = Floats(floats, false);
    size = floats;
  }
  return room.get();
}

}  // namespace savedmodel::engine
