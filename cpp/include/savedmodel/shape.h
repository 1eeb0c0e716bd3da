// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "savedmodel/export.h"

namespace savedmodel {

namespace internal {

// A member that is reset when it is moved from, as an owning pointer is.
template <typename T>
class Taken {
 public:
  Taken(T value = {}) : value_(value) {}
  Taken(const Taken&) = default;
  Taken(Taken&& other) noexcept : value_(std::exchange(other.value_, {})) {}
  Taken& operator=(const Taken&) = default;
  Taken& operator=(Taken&& other) noexcept {
    value_ = std::exchange(other.value_, {});
    return *this;
  }
  operator T() const { return value_; }

 private:
  T value_;
};

}  // namespace internal

// Dimensions of a tensor. Up to eight are stored inline, without an allocation. A moved-from Shape has none.
class SAVEDMODEL_API Shape {
 public:
  Shape() {}
  Shape(std::initializer_list<std::int64_t> dims) : Shape(dims.begin(), dims.size()) {}
  explicit Shape(const std::vector<std::int64_t>& dims) : Shape(dims.data(), dims.size()) {}
  Shape(const std::int64_t* dims, std::size_t rank) : rank_(rank) {
    if (rank <= kInline) {
      std::copy_n(dims, rank, inline_);
    } else {
      heap_.assign(dims, dims + rank);
    }
  }
  Shape(const Shape&) = default;
  Shape(Shape&& other) noexcept = default;
  Shape& operator=(const Shape&) = default;
  Shape& operator=(Shape&& other) noexcept {
    Shape taken(std::move(other));  // itself, too
    rank_ = std::move(taken.rank_);
    std::copy_n(taken.inline_, kInline, inline_);
    heap_ = std::move(taken.heap_);
    return *this;
  }

  std::size_t size() const { return rank_; }
  const std::int64_t* data() const { return rank_ <= kInline ? inline_ : heap_.data(); }
  const std::int64_t* begin() const { return data(); }
  const std::int64_t* end() const { return data() + rank_; }
  std::int64_t operator[](std::size_t i) const { return data()[i]; }
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }

  // The product of the dimensions; throws Error if one is negative or the product overflows.
  std::size_t num_elements() const {
    std::int64_t count = 1;
    for (std::int64_t dim : *this) {
      if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) Refuse();
    }
    return static_cast<std::size_t>(count);
  }
  std::string ToString() const;  // "[2, 3]"

 private:
  friend class Tensor;
  static constexpr std::size_t kInline = 8;
  [[noreturn]] void Refuse() const;
  internal::Taken<std::size_t> rank_;
  std::int64_t inline_[kInline] = {};
  std::vector<std::int64_t> heap_;
};

}  // namespace savedmodel
