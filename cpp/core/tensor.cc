// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/with_errors.h"

namespace savedmodel {

using internal::Throw;
using internal::WithErrors;

namespace {

constexpr char kSubject[] = "a tensor";

// Owns strings stored one after the other, and the views on them.
struct StringBlock {
  std::string bytes;
  std::vector<std::string_view> views;
};

void CheckNumeric(DType dtype) {
  if (DTypeSize(dtype) > 0) return;
  throw UsageError(UsageError::Kind::kDType,
                   std::string("a tensor of ") + DTypeName(dtype) +
                       " has no numbers in memory; make strings with Tensor::Strings");
}

}  // namespace

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

void Shape::Refuse() const {
  Throw("a shape", [&] {
    return UsageError(UsageError::Kind::kValue,
                      ToString() + " is not a valid shape: a size is negative, or too large");
  });
}

std::string Shape::ToString() const {
  return WithErrors("a shape", [&] {
    std::string text = "[";
    for (std::size_t i = 0; i < rank_; ++i) text += (i ? ", " : "") + std::to_string((*this)[i]);
    return text + "]";
  });
}

Tensor Tensor::Empty(DType dtype, const Shape& shape) {
  return WithErrors(kSubject, [&] {
    CheckNumeric(dtype);
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(shape.num_elements(), DTypeSize(dtype), &bytes)) shape.Refuse();
    bytes = std::max<std::size_t>(bytes, 1);
    void* data = nullptr;
    if (bytes <= SIZE_MAX - kAlignment) {
      data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    }
    if (data == nullptr) {
      throw OutOfMemory("out of memory: a tensor of " + std::string(DTypeName(dtype)) + " " +
                        shape.ToString() + " needs " + std::to_string(bytes) + " bytes");
    }
    return Tensor(dtype, shape, data, std::shared_ptr<const void>(data, [](void* p) { std::free(p); }), true);
  });
}

Tensor Tensor::Wrap(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner) {
  return WithErrors(kSubject, [&] {
    CheckNumeric(dtype);
    return Tensor(dtype, shape, data, std::move(owner), false);
  });
}

Tensor Tensor::WrapMutable(DType dtype, const Shape& shape, void* data, std::shared_ptr<const void> owner) {
  return WithErrors(kSubject, [&] {
    CheckNumeric(dtype);
    return Tensor(dtype, shape, data, std::move(owner), true);
  });
}

Tensor Tensor::Wrap(DType dtype, const Shape& shape, const void* data, std::function<void()> deleter) {
  if (!deleter) return Wrap(dtype, shape, data, nullptr);
  return WithErrors(kSubject, [&] {
    return Wrap(
        dtype, shape, data,
        std::shared_ptr<const void>(data, [deleter = std::move(deleter)](const void*) { deleter(); }));
  });
}

Tensor Tensor::Lend(DType dtype, const Shape& shape, const void* data, const void* handle, KeepFn keep) {
  return WithErrors(kSubject, [&] {
    CheckNumeric(dtype);
    Tensor lent(dtype, shape, data, nullptr, false);
    lent.handle_ = handle;
    lent.keep_ = keep;
    return lent;
  });
}

Tensor Tensor::Copy(DType dtype, const Shape& shape, const void* data) {
  Tensor copy = Empty(dtype, shape);
  if (data == nullptr && copy.num_elements() > 0) RefuseNull();
  if (copy.byte_size() > 0) std::memcpy(copy.mutable_data(), data, copy.byte_size());
  return copy;
}

void Tensor::RefuseNull() {
  Throw(kSubject, [] {
    return UsageError(UsageError::Kind::kValue, "a tensor with elements needs memory: its data is null");
  });
}

Tensor Tensor::Strings(const Shape& shape, const std::vector<std::string>& values) {
  return WithErrors(kSubject, [&] {
    return CopyStrings(shape, std::vector<std::string_view>(values.begin(), values.end()));
  });
}

Tensor Tensor::CopyStrings(const Shape& shape, Span<const std::string_view> values) {
  return WithErrors("a tensor of strings", [&] {
    if (shape.num_elements() != values.size()) {
      throw UsageError(UsageError::Kind::kValue,
                       std::to_string(values.size()) + " strings do not fill the shape " + shape.ToString());
    }
    auto block = std::make_shared<StringBlock>();
    std::size_t bytes = 0;
    for (const std::string_view value : values) bytes += value.size();
    block->bytes.reserve(bytes);
    block->views.reserve(values.size());
    for (const std::string_view value : values) {
      block->views.emplace_back(block->bytes.data() + block->bytes.size(), value.size());
      block->bytes.append(value);
    }
    const std::string_view* views = block->views.data();
    return WrapStrings(shape, views, std::move(block));
  });
}

Tensor Tensor::WrapStrings(const Shape& shape, const std::string_view* views,
                           std::shared_ptr<const void> owner) {
  return WithErrors(kSubject, [&] { return Tensor(DType::kString, shape, views, std::move(owner), false); });
}

Tensor Tensor::Result(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner,
                      bool writable) {
  return WithErrors(kSubject, [&] { return Tensor(dtype, shape, data, std::move(owner), writable); });
}

void* Tensor::mutable_data() {
  if (!valid()) internal::RefuseEmpty("Tensor");
  if (!writable_) {
    Throw(kSubject, [] {
      return Error(Code::kFailedPrecondition,
                   "this tensor is read-only: its memory is borrowed or shared (a weight, a constant or "
                   "another result); copy it first");
    });
  }
  return const_cast<void*>(data());
}

std::string_view Tensor::string(std::size_t i) const {
  CheckType(DType::kString);
  if (i >= num_elements_) {
    Throw(kSubject, [] { return UsageError(UsageError::Kind::kValue, "string index out of range"); });
  }
  return strings()[i];
}

Span<const std::string_view> Tensor::strings() const& {
  CheckType(DType::kString);
  return {static_cast<const std::string_view*>(data()), num_elements_};
}

void Tensor::CheckType(DType requested) const {
  if (!valid()) internal::RefuseEmpty("Tensor");
  if (requested == dtype_) return;
  Throw(kSubject, [&] {
    return UsageError(UsageError::Kind::kDType,
                      std::string("the tensor holds ") + DTypeName(dtype_) + ", not " + DTypeName(requested));
  });
}

}  // namespace savedmodel
