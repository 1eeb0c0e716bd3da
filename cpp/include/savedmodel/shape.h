// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "savedmodel/export.h"

namespace savedmodel {

// Dimensions of a tensor; up to eight are held inline, so that making one allocates nothing.
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

  std::size_t size() const { return rank_; }
  const std::int64_t* data() const { return rank_ <= kInline ? inline_ : heap_.data(); }
  const std::int64_t* begin() const { return data(); }
  const std::int64_t* end() const { return data() + rank_; }
  std::int64_t operator[](std::size_t i) const { return data()[i]; }
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }

  // Product of the dimensions; throws Error when one is negative or the product overflows.
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
  std::size_t rank_ = 0;
  std::int64_t inline_[kInline];
  std::vector<std::int64_t> heap_;
};

}  // namespace savedmodel
