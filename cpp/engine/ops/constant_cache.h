// SPDX-License-Identifier: Apache-2.0
// Caches what kernels derive from constant inputs, such as packed weights. Kernels with the same buffer and
// layout share one entry, so the functions of a model pack their weights once.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

// The numbers that it depends on beside the buffers.
using ConstantLayout = std::array<std::int64_t, 4>;

struct CachedConstants {
  std::vector<tensorflow::Tensor> from;  // held, so that nobody writes into them, or gets their addresses
  std::shared_ptr<const void> value;
  std::atomic<std::size_t> bytes{0};  // of the value
};

struct MadeConstants {
  std::shared_ptr<const void> value;
  std::size_t bytes;
};

// What there is for these buffers, this layout and the type that `type` is the tag of, else what `make`
// gives. It lives as long as somebody holds the result. Threads that want the same wait for the first.
// Thread-safe.
std::shared_ptr<const CachedConstants> ShareCached(const std::vector<tensorflow::Tensor>& from,
                                                   const void* type, const ConstantLayout& layout,
                                                   const std::function<MadeConstants()>& make);

// How many there are now.
std::size_t CountCachedConstants();
// The bytes of those that are made from one of these buffers.
std::size_t BytesOfCachedConstants(const std::set<const void*>& from);

// Of a matrix packed for a kernel, whatever that is.
template <typename Kernel>
ConstantLayout LayoutOf(const Kernel& kernel, bool transposed, std::int64_t depth, std::int64_t columns) {
  return {reinterpret_cast<std::intptr_t>(&kernel), transposed ? 1 : 0, depth, columns};
}

template <typename T>
const void* TypeTag() {
  static char tag = 0;
  return &tag;
}

// A kernel's part of it, for one input.
template <typename T>
class ConstantCache {
 public:
  // make() gives a shared_ptr<const T>; it is asked again for an input that is not the first one. T has
  // bytes().
  template <typename Make>
  std::shared_ptr<const T> Get(const tensorflow::Tensor& input, const ConstantLayout& layout,
                               const Make& make) {
    std::call_once(once_, [&] {
      made_ = ShareCached({input}, TypeTag<T>(), layout, [&] {
        const std::shared_ptr<const T> value = make();
        return MadeConstants{value, value->bytes()};
      });
      is_made_.store(true, std::memory_order_release);
    });
    return made_->from[0].data() == input.data() ? std::static_pointer_cast<const T>(made_->value) : make();
  }

  bool is_made() const { return is_made_.load(std::memory_order_acquire); }

 private:
  std::once_flag once_;
  std::atomic<bool> is_made_{false};
  std::shared_ptr<const CachedConstants> made_;
};

}  // namespace savedmodel::engine
