// SPDX-License-Identifier: Apache-2.0
// Buffers of floats, aligned to cache lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace savedmodel::engine {

class Floats {
 public:
  explicit Floats(std::int64_t count = 0, bool zeros = true) {
    if (count == 0) return;
    bytes_ = static_cast<std::size_t>(count) * sizeof(float);
    data_.reset(static_cast<float*>(::operator new(bytes_, std::align_val_t(kAlign))));
    if (zeros) std::memset(data_.get(), 0, bytes_);
  }
  float* get() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kAlign = 64;
  struct Delete {
    void operator()(float* p) const { ::operator delete(p, std::align_val_t(kAlign)); }
  };
  std::unique_ptr<float, Delete> data_;
  std::size_t bytes_ = 0;
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
