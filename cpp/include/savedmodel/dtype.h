// SPDX-License-Identifier: Apache-2.0
// Element types. Values are those of tensorflow.DataType (types.proto).
#pragma once

#include <cstddef>
#include <cstdint>

#include "savedmodel/export.h"

namespace savedmodel {

enum class DType : std::int32_t {
  kInvalid = 0,
  kFloat32 = 1,
  kFloat64 = 2,
  kInt32 = 3,
  kUInt8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kComplex64 = 8,
  kInt64 = 9,
  kBool = 10,
  kQInt8 = 11,
  kQUInt8 = 12,
  kQInt32 = 13,
  kBFloat16 = 14,
  kQInt16 = 15,
  kQUInt16 = 16,
  kUInt16 = 17,
  kComplex128 = 18,
  kFloat16 = 19,
  kResource = 20,
  kVariant = 21,
  kUInt32 = 22,
  kUInt64 = 23,
  kFloat8E5M2 = 24,
  kFloat8E4M3FN = 25,
  kFloat8E4M3FNUZ = 26,
  kFloat8E4M3B11FNUZ = 27,
  kFloat8E5M2FNUZ = 28,
  kInt4 = 29,
  kUInt4 = 30,
  kInt2 = 31,
  kUInt2 = 32,
  kFloat4E2M1FN = 33,
};

// "float32", "bfloat16", "string", ...; "unknown" for any other value.
SAVEDMODEL_API const char* DTypeName(DType dtype);

// Bytes of one element; 0 for string, resource, variant and invalid.
SAVEDMODEL_API std::size_t DTypeSize(DType dtype);

// The type that `T` is stored as, for Tensor::data<T>(); kInvalid if there is none.
template <typename T>
constexpr DType DTypeOf() {
  return DType::kInvalid;
}
// clang-format off
template <> constexpr DType DTypeOf<float>() { return DType::kFloat32; }
template <> constexpr DType DTypeOf<double>() { return DType::kFloat64; }
template <> constexpr DType DTypeOf<std::int8_t>() { return DType::kInt8; }
template <> constexpr DType DTypeOf<std::int16_t>() { return DType::kInt16; }
template <> constexpr DType DTypeOf<std::int32_t>() { return DType::kInt32; }
template <> constexpr DType DTypeOf<std::int64_t>() { return DType::kInt64; }
template <> constexpr DType DTypeOf<std::uint8_t>() { return DType::kUInt8; }
template <> constexpr DType DTypeOf<std::uint16_t>() { return DType::kUInt16; }
template <> constexpr DType DTypeOf<std::uint32_t>() { return DType::kUInt32; }
template <> constexpr DType DTypeOf<std::uint64_t>() { return DType::kUInt64; }
template <> constexpr DType DTypeOf<bool>() { return DType::kBool; }
// clang-format on

}  // namespace savedmodel
