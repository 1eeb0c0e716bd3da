// SPDX-License-Identifier: Apache-2.0
// The protocol's tensors <-> savedmodel::Tensor. Errors are savedmodel::Error in the protocol's terms.
#pragma once

#include <savedmodel/savedmodel.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "errors.h"
#include "inference.pb.h"

namespace server {

using namespace inference;
using savedmodel::DType;
using savedmodel::Shape;
using savedmodel::Tensor;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw contents are little endian");

inline const std::map<std::string, DType> kDatatypes = {
    {"BOOL", DType::kBool},     {"UINT8", DType::kUInt8},   {"UINT16", DType::kUInt16},
    {"UINT32", DType::kUInt32}, {"UINT64", DType::kUInt64}, {"INT8", DType::kInt8},
    {"INT16", DType::kInt16},   {"INT32", DType::kInt32},   {"INT64", DType::kInt64},
    {"FP16", DType::kFloat16},  {"FP32", DType::kFloat32},  {"FP64", DType::kFloat64},
    {"BYTES", DType::kString},  {"BF16", DType::kBFloat16}};

struct Input {
  const std::string& name;
  const std::string& datatype;
  DType dtype;
  Shape shape;
  std::size_t count;  // of elements
  std::shared_ptr<const void> owner;

  template <typename... Parts>
  [[noreturn]] void Refuse(const Parts&... parts) const {
    server::Refuse("input '", name, "', ", datatype, " ", shape.ToString(), ": ", parts...);
  }
  void CheckCount(int given, const char* field) const {
    if (static_cast<std::size_t>(given) != count) Refuse(given, " elements in ", field, ", not ", count);
  }
};

// Strings with their lengths before them.
inline Tensor FromLengthPrefixed(const Input& input, std::string_view raw) {
  std::vector<std::string> strings;
  while (strings.size() < input.count && raw.size() >= sizeof(std::uint32_t)) {
    std::uint32_t size = 0;
    std::memcpy(&size, raw.data(), sizeof(size));
    raw.remove_prefix(sizeof(size));
    if (size > raw.size()) break;
    strings.emplace_back(raw.substr(0, size));
    raw.remove_prefix(size);
  }
  if (strings.size() == input.count && raw.empty()) return Tensor::Strings(input.shape, strings);
  input.Refuse("its raw contents are not ", input.count, " strings, each behind its length");
}

inline Tensor FromRaw(const Input& input, const std::string& raw) {
  if (input.dtype == DType::kString) return FromLengthPrefixed(input, raw);
  const std::size_t size = savedmodel::DTypeSize(input.dtype);
  if (raw.size() % size != 0 || raw.size() / size != input.count) {
    input.Refuse(raw.size(), " bytes of raw contents, not ", size, " for each of ", input.count, " elements");
  }
  // Another value in a C++ bool is undefined behaviour in a kernel.
  if (input.dtype == DType::kBool &&
      std::any_of(raw.begin(), raw.end(), [](char c) { return (c & ~1) != 0; }))
    input.Refuse("a BOOL is a byte of 0 or 1");
  // Read in place if it starts at a multiple of savedmodel::kAlignment, else copied by the run.
  return Tensor::Wrap(input.dtype, input.shape, raw.data(), input.owner);
}

// A field whose elements have the size of the tensor's is read in place; else they are narrowed.
template <typename To, typename From>
Tensor FromField(const Input& input, const google::protobuf::RepeatedField<From>& field) {
  input.CheckCount(field.size(), "the field of its datatype");
  if (std::is_same_v<To, From>) return Tensor::Wrap(input.dtype, input.shape, field.data(), input.owner);
  Tensor tensor = Tensor::Empty(input.dtype, input.shape);
  std::transform(field.begin(), field.end(), tensor.mutable_data<To>(), [&](From value) {
    if (value != static_cast<From>(static_cast<To>(value))) input.Refuse(value, " does not fit");
    return static_cast<To>(value);
  });
  return tensor;
}

inline Tensor FromContents(const Input& input, const InferTensorContents& contents) {
  // clang-format off
  switch (input.dtype) {
    case DType::kBool: return FromField<bool>(input, contents.bool_contents());
    case DType::kUInt8: return FromField<std::uint8_t>(input, contents.uint_contents());
    case DType::kUInt16: return FromField<std::uint16_t>(input, contents.uint_contents());
    case DType::kUInt32: return FromField<std::uint32_t>(input, contents.uint_contents());
    case DType::kUInt64: return FromField<std::uint64_t>(input, contents.uint64_contents());
    case DType::kInt8: return FromField<std::int8_t>(input, contents.int_contents());
    case DType::kInt16: return FromField<std::int16_t>(input, contents.int_contents());
    case DType::kInt32: return FromField<std::int32_t>(input, contents.int_contents());
    case DType::kInt64: return FromField<std::int64_t>(input, contents.int64_contents());
    case DType::kFloat32: return FromField<float>(input, contents.fp32_contents());
    case DType::kFloat64: return FromField<double>(input, contents.fp64_contents());
    case DType::kString: break;
    default: input.Refuse("only raw_input_contents can hold this datatype");
  }
  // clang-format on
  const auto& strings = contents.bytes_contents();
  input.CheckCount(strings.size(), "bytes_contents");
  return Tensor::Strings(input.shape, {strings.begin(), strings.end()});
}

// "FP32"; TensorFlow's own name where the protocol has none.
inline std::string DatatypeName(DType dtype) {
  for (const auto& [name, value] : kDatatypes) {
    if (value == dtype) return name;
  }
  return savedmodel::DTypeName(dtype);
}

// The input at `index`. Its memory is the request's, unless elements have to be narrowed, or are strings.
inline Tensor DecodeInput(const std::shared_ptr<const ModelInferRequest>& request, int index) {
  const auto& tensor = request->inputs(index);
  const auto datatype = kDatatypes.find(tensor.datatype());
  if (datatype == kDatatypes.end()) Refuse("there is no datatype '", tensor.datatype(), "'");
  const Shape shape(tensor.shape().data(), static_cast<std::size_t>(tensor.shape_size()));
  const Input input{tensor.name(), tensor.datatype(), datatype->second, shape, shape.num_elements(), request};
  if (request->raw_input_contents().empty()) return FromContents(input, tensor.contents());
  if (tensor.has_contents()) input.Refuse("it has contents beside raw_input_contents");
  const int given = request->raw_input_contents_size();
  const int needed = request->inputs_size();
  if (given != needed) input.Refuse("raw_input_contents of ", given, " inputs, not ", needed);
  return FromRaw(input, request->raw_input_contents(index));
}

// Adds an output and its raw contents.
inline void EncodeOutput(const std::string& name, const Tensor& tensor, ModelInferResponse* response) {
  auto* output = response->add_outputs();
  output->set_name(name);
  output->set_datatype(DatatypeName(tensor.dtype()));
  output->mutable_shape()->Add(tensor.shape().begin(), tensor.shape().end());
  std::string* raw = response->add_raw_output_contents();
  if (tensor.dtype() != DType::kString) {
    raw->assign(static_cast<const char*>(tensor.data()), tensor.byte_size());
    return;
  }
  for (std::size_t i = 0; i < tensor.num_elements(); ++i) {
    const std::string_view value = tensor.strings()[i];
    const auto size = static_cast<std::uint32_t>(value.size());
    raw->append(reinterpret_cast<const char*>(&size), sizeof(size)).append(value);
  }
}

}  // namespace server
