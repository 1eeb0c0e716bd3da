// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "savedmodel/dtype.h"
#include "savedmodel/export.h"

namespace savedmodel {

// Memory that TensorFlow can read in place starts at a multiple of this (EIGEN_MAX_ALIGN_BYTES).
inline constexpr std::size_t kAlignment = 64;

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

// A typed, shaped, shared view of dense row-major memory. Copying a Tensor shares the memory.
class SAVEDMODEL_API Tensor {
 public:
  Tensor() = default;  // holds nothing: dtype() is kInvalid

  // Uninitialised memory of its own, aligned so that a run borrows it.
  static Tensor Empty(DType dtype, const Shape& shape);
  // Borrows `data`, which `owner` keeps alive. A run reads it in place if it is aligned to
  // kAlignment, else copies it once; nothing ever writes to it.
  static Tensor Wrap(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner);
  // The same; `deleter` runs once, possibly on a TensorFlow thread, when the last view is gone.
  static Tensor Wrap(DType dtype, const Shape& shape, const void* data, std::function<void()> deleter);
  // For language bindings: borrows `data` from the caller of one run, without the cost of an owner. In the
  // rare case that TensorFlow holds on to it, `keep(handle)` is asked for one before the run returns.
  using KeepFn = std::shared_ptr<const void> (*)(const void* handle);
  static Tensor Lend(DType dtype, const Shape& shape, const void* data, const void* handle, KeepFn keep);
  // Copies `data`.
  static Tensor Copy(DType dtype, const Shape& shape, const void* data);
  // Copies the strings.
  static Tensor Strings(const Shape& shape, const std::vector<std::string>& values);
  // Borrows the views and their bytes, which `owner` keeps alive; a run copies them.
  static Tensor WrapStrings(const Shape& shape, const std::string_view* views,
                            std::shared_ptr<const void> owner);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t num_elements() const { return num_elements_; }
  std::size_t byte_size() const { return num_elements_ * DTypeSize(dtype_); }

  // First element. The typed form throws UsageError unless T is what dtype() is stored as.
  const void* data() const { return data_; }
  template <typename T>
  const T* data() const {
    CheckType(DTypeOf<T>());
    return static_cast<const T*>(data_);
  }
  // As above; throws Error unless writable().
  void* mutable_data();
  template <typename T>
  T* mutable_data() {
    CheckType(DTypeOf<T>());
    return static_cast<T*>(mutable_data());
  }
  // Element `i` of a string tensor; throws UsageError for other types.
  std::string_view string(std::size_t i) const;
  // All of them, num_elements() long.
  const std::string_view* strings() const;

  // True if nobody else (a weight, a constant, another result) looks at this memory.
  bool writable() const { return writable_; }
  bool aligned() const { return reinterpret_cast<std::uintptr_t>(data_) % kAlignment == 0; }
  // Keeps the memory alive; makes the owner of lent memory.
  std::shared_ptr<const void> owner() const { return keep_ == nullptr ? owner_ : keep_(handle_); }
  // The same, without a copy of the pointer.
  std::shared_ptr<const void> release_owner() && { return keep_ == nullptr ? std::move(owner_) : owner(); }

  // For the engine: a result, whose memory `owner` keeps alive.
  static Tensor Result(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner,
                       bool writable);

 private:
  Tensor(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner, bool writable)
      : dtype_(dtype),
        writable_(writable),
        num_elements_(shape.num_elements()),
        data_(data),
        shape_(shape),
        owner_(std::move(owner)) {
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(num_elements_, DTypeSize(dtype), &bytes)) shape.Refuse();
  }
  void CheckType(DType requested) const;

  DType dtype_ = DType::kInvalid;
  bool writable_ = false;
  std::size_t num_elements_ = 0;
  const void* data_ = nullptr;
  Shape shape_;
  std::shared_ptr<const void> owner_;
  const void* handle_ = nullptr;
  KeepFn keep_ = nullptr;
};

}  // namespace savedmodel
