// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace savedmodel {

// A view of `size` contiguous elements that it does not own; std::span for C++17. Made from an array, from
// anything with data() and size(), or from a pointer and a size. Element access is not checked.
template <typename T>
class Span {
 public:
  using value_type = std::remove_cv_t<T>;

  constexpr Span() = default;
  constexpr Span(T* data, std::size_t size) : data_(data), size_(size) {}
  template <std::size_t N>
  constexpr Span(T (&array)[N]) : data_(array), size_(N) {}
  // Accepts a temporary container as an argument of a call.
  template <typename C, typename D = decltype(std::declval<C&>().data()),
            typename = decltype(std::declval<C&>().size()),
            typename = std::enable_if_t<std::is_convertible_v<std::remove_pointer_t<D> (*)[], T (*)[]>>>
  constexpr Span(C&& container) : data_(container.data()), size_(container.size()) {}

  constexpr T* data() const { return data_; }
  constexpr std::size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr T* begin() const { return data_; }
  constexpr T* end() const { return data_ + size_; }
  constexpr T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace savedmodel
