// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "savedmodel/dtype.h"
#include "savedmodel/export.h"
#include "savedmodel/shape.h"
#include "savedmodel/span.h"

namespace savedmodel {

// TensorFlow reads memory in place if it starts at a multiple of this (EIGEN_MAX_ALIGN_BYTES).
inline constexpr std::size_t kAlignment = 64;

// A typed, shaped view of dense row-major memory. Copies share the memory. `data` may be null only if there
// are no elements (UsageError).
class SAVEDMODEL_API Tensor {
 public:
  Tensor() = default;  // empty, like a moved-from one: dtype() is kInvalid
  bool valid() const noexcept { return dtype() != DType::kInvalid; }
  explicit operator bool() const noexcept { return valid(); }

  // Allocates uninitialised memory, aligned so that a run borrows it.
  [[nodiscard]] static Tensor Empty(DType dtype, const Shape& shape);
  // Borrows `data`, which `owner` keeps alive. A run reads it in place if it is aligned to kAlignment, else
  // copies it once. It is never written to.
  [[nodiscard]] static Tensor Wrap(DType dtype, const Shape& shape, const void* data,
                                   std::shared_ptr<const void> owner);
  // The same; `deleter` runs once, after the last view is destroyed, possibly on a TensorFlow thread.
  [[nodiscard]] static Tensor Wrap(DType dtype, const Shape& shape, const void* data,
                                   std::function<void()> deleter);
  // The same, for memory that outlives every view.
  [[nodiscard]] static Tensor Wrap(DType dtype, const Shape& shape, const void* data, std::nullptr_t) {
    return Wrap(dtype, shape, data, std::shared_ptr<const void>());
  }
  // For language bindings: borrows `data` from the caller for one run, without the cost of an owner. In the
  // rare case that TensorFlow keeps it, `keep(handle)` must return an owner before the run returns.
  using KeepFn = std::shared_ptr<const void> (*)(const void* handle);
  [[nodiscard]] static Tensor Lend(DType dtype, const Shape& shape, const void* data, const void* handle,
                                   KeepFn keep);
  // Borrows writable memory for a result (Function::RunInto).
  [[nodiscard]] static Tensor WrapMutable(DType dtype, const Shape& shape, void* data,
                                          std::shared_ptr<const void> owner);
  // Copies `data`.
  [[nodiscard]] static Tensor Copy(DType dtype, const Shape& shape, const void* data);
  // Copies the strings, which may contain any bytes.
  [[nodiscard]] static Tensor Strings(const Shape& shape, const std::vector<std::string>& values);
  template <typename Views,
            typename = std::enable_if_t<std::is_convertible_v<const Views&, Span<const std::string_view>>>>
  [[nodiscard]] static Tensor Strings(const Shape& shape, const Views& views) {
    return CopyStrings(shape, views);
  }
  // Borrows the views and their bytes, which `owner` keeps alive; a run copies them.
  [[nodiscard]] static Tensor WrapStrings(const Shape& shape, const std::string_view* views,
                                          std::shared_ptr<const void> owner);

  DType dtype() const { return dtype_; }
  const Shape& shape() const& { return shape_; }
  Shape shape() && { return std::move(shape_); }
  std::size_t num_elements() const { return num_elements_; }
  std::size_t byte_size() const { return num_elements_ * DTypeSize(dtype_); }

  // The first element. The typed form throws UsageError unless dtype() is stored as T.
  const void* data() const { return data_; }
  template <typename T>
  const T* data() const {
    CheckType(DTypeOf<T>());
    return static_cast<const T*>(data());
  }
  // The same, writable; throws Error unless writable().
  void* mutable_data();
  template <typename T>
  T* mutable_data() {
    CheckType(DTypeOf<T>());
    return static_cast<T*>(mutable_data());
  }
  // All elements in row-major order, valid while the tensor exists: for (float v : y.values<float>()).
  // Deleted for temporaries, which would be destroyed before the loop begins.
  template <typename T>
  Span<const T> values() const& {
    return {data<T>(), num_elements_};
  }
  template <typename T>
  Span<const T> values() const&& = delete;
  template <typename T>
  Span<T> mutable_values() & {
    return {mutable_data<T>(), num_elements_};
  }
  // Element `i`, or all elements, of a string tensor; throws UsageError for other types.
  std::string_view string(std::size_t i) const;
  Span<const std::string_view> strings() const&;
  Span<const std::string_view> strings() const&& = delete;

  // False if a weight, a constant or another result shares this memory.
  bool writable() const { return writable_; }
  bool aligned() const { return reinterpret_cast<std::uintptr_t>(data()) % kAlignment == 0; }
  // Keeps the memory alive; creates an owner for lent memory.
  std::shared_ptr<const void> owner() const {
    const KeepFn keep = keep_;
    return keep == nullptr ? owner_ : keep(handle_);
  }
  // The same, without a copy of the pointer.
  std::shared_ptr<const void> release_owner() && {
    return KeepFn(keep_) == nullptr ? std::move(owner_) : owner();
  }

  // For the engine: a result in memory that `owner` keeps alive.
  [[nodiscard]] static Tensor Result(DType dtype, const Shape& shape, const void* data,
                                     std::shared_ptr<const void> owner, bool writable);

 private:
  Tensor(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner, bool writable)
      : dtype_(dtype),
        writable_(writable),
        num_elements_(shape.num_elements()),
        data_(data),
        shape_(shape),
        owner_(std::move(owner)) {
    std::size_t bytes = 0;
    const std::size_t elements = num_elements_;
    if (__builtin_mul_overflow(elements, DTypeSize(dtype), &bytes)) shape.Refuse();
    if (data == nullptr && elements > 0) RefuseNull();
  }
  static Tensor CopyStrings(const Shape& shape, Span<const std::string_view> values);
  void CheckType(DType requested) const;
  [[noreturn]] static void RefuseNull();

  internal::Taken<DType> dtype_;
  internal::Taken<bool> writable_;
  internal::Taken<std::size_t> num_elements_;
  internal::Taken<const void*> data_;
  Shape shape_;
  std::shared_ptr<const void> owner_;
  internal::Taken<const void*> handle_;
  internal::Taken<KeepFn> keep_;
};

}  // namespace savedmodel
