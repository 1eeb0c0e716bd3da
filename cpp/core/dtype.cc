// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/dtype.h"

namespace savedmodel {
namespace {

struct Row {
  const char* name;
  std::size_t size;
};

// Indexed by tensorflow.DataType.
constexpr Row kTypes[] = {
    {"invalid", 0},
    {"float32", 4},
    {"float64", 8},
    {"int32", 4},
    {"uint8", 1},
    {"int16", 2},
    {"int8", 1},
    {"string", 0},
    {"complex64", 8},
    {"int64", 8},
    {"bool", 1},
    {"qint8", 1},
    {"quint8", 1},
    {"qint32", 4},
    {"bfloat16", 2},
    {"qint16", 2},
    {"quint16", 2},
    {"uint16", 2},
    {"complex128", 16},
    {"float16", 2},
    {"resource", 0},
    {"variant", 0},
    {"uint32", 4},
    {"uint64", 8},
    {"float8_e5m2", 1},
    {"float8_e4m3fn", 1},
    {"float8_e4m3fnuz", 1},
    {"float8_e4m3b11fnuz", 1},
    {"float8_e5m2fnuz", 1},
    {"int4", 1},
    {"uint4", 1},
    {"int2", 1},
    {"uint2", 1},
    {"float4_e2m1fn", 1},
};
constexpr std::size_t kCount = sizeof(kTypes) / sizeof(kTypes[0]);

}  // namespace

const char* DTypeName(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  return index < kCount ? kTypes[index].name : "unknown";
}

std::size_t DTypeSize(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  return index < kCount ? kTypes[index].size : 0;
}

}  // namespace savedmodel
