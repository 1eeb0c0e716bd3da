// SPDX-License-Identifier: Apache-2.0
#include "tensors.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

using savedmodel::DType;
using savedmodel::Shape;
using savedmodel::Tensor;

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw contents are little endian");

const std::map<std::string, DType>& Datatypes() {
  static const auto* datatypes = new std::map<std::string, DType>{
      {"BOOL", DType::kBool},     {"UINT8", DType::kUInt8},   {"UINT16", DType::kUInt16},
      {"UINT32", DType::kUInt32}, {"UINT64", DType::kUInt64}, {"INT8", DType::kInt8},
      {"INT16", DType::kInt16},   {"INT32", DType::kInt32},   {"INT64", DType::kInt64},
      {"FP16", DType::kFloat16},  {"FP32", DType::kFloat32},  {"FP64", DType::kFloat64},
      {"BYTES", DType::kString},  {"BF16", DType::kBFloat16}};
  return *datatypes;
}

struct Input {
  const std::string& name;
  const std::string& datatype;
  DType dtype;
  Shape shape;
  std::size_t count;  // of elements
  const std::shared_ptr<const void>& owner;

  [[noreturn]] void Refuse(const std::string& why) const {
    ::Refuse(absl::StrCat("input '", name, "', ", datatype, " ", shape.ToString(), ": ", why));
  }
  void CheckCount(int given, const char* field) const {
    if (static_cast<std::size_t>(given) != count)
      Refuse(absl::StrCat(given, " elements in ", field, ", not ", count));
  }
};

// Strings with their lengths before them.
Tensor FromLengthPrefixed(const Input& input, const std::string& raw) {
  constexpr std::size_t kPrefix = sizeof(std::uint32_t);
  const auto need = [&](bool there) {
    if (!there) input.Refuse("its raw contents end too early");
  };
  need(input.count <= raw.size() / kPrefix);  // before memory is taken for what a shape only claims
  using Views = std::pair<std::vector<std::string_view>, std::shared_ptr<const void>>;
  const auto block = std::make_shared<Views>(std::vector<std::string_view>(input.count), input.owner);
  std::string_view rest = raw;
  for (std::string_view& view : block->first) {
    std::uint32_t size = 0;
    need(rest.size() >= kPrefix);
    std::memcpy(&size, rest.data(), kPrefix);
    need(rest.size() - kPrefix >= size);
    view = rest.substr(kPrefix, size);
    rest.remove_prefix(kPrefix + size);
  }
  if (!rest.empty()) input.Refuse(absl::StrCat(rest.size(), " bytes of raw contents are left over"));
  return Tensor::WrapStrings(input.shape, block->first.data(), block);
}

Tensor FromRaw(const Input& input, const std::string& raw) {
  if (input.dtype == DType::kString) return FromLengthPrefixed(input, raw);
  const std::size_t size = savedmodel::DTypeSize(input.dtype);
  if (raw.size() % size != 0 || raw.size() / size != input.count) {
    input.Refuse(absl::StrCat(raw.size(), " bytes of raw contents, not ", size, " for each of ", input.count,
                              " elements"));
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
  if constexpr (std::is_same_v<To, From>) {
    return Tensor::Wrap(input.dtype, input.shape, field.data(), input.owner);
  }
  Tensor tensor = Tensor::Empty(input.dtype, input.shape);
  To* to = tensor.mutable_data<To>();
  for (const From value : field) {
    using Limits = std::numeric_limits<To>;
    if (value < Limits::lowest() || value > Limits::max()) input.Refuse(absl::StrCat(value, " does not fit"));
    *to++ = static_cast<To>(value);
  }
  return tensor;
}

Tensor FromContents(const Input& input, const inference::InferTensorContents& contents) {
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

}  // namespace

void Refuse(const std::string& why) { throw savedmodel::Error(savedmodel::Code::kInvalidArgument, why); }

std::string DatatypeName(DType dtype) {
  for (const auto& [name, value] : Datatypes()) {
    if (value == dtype) return name;
  }
  return savedmodel::DTypeName(dtype);
}

Tensor DecodeInput(const inference::ModelInferRequest& request, int index,
                   const std::shared_ptr<const void>& owner) {
  const auto& tensor = request.inputs(index);
  const auto datatype = Datatypes().find(tensor.datatype());
  if (datatype == Datatypes().end()) Refuse(absl::StrCat("there is no datatype '", tensor.datatype(), "'"));
  const Shape shape(tensor.shape().data(), static_cast<std::size_t>(tensor.shape_size()));
  Input input{tensor.name(), tensor.datatype(), datatype->second, shape, 0, owner};
  try {
    input.count = shape.num_elements();
  } catch (const savedmodel::Error&) {
    input.Refuse("no such shape can be");
  }
  if (request.raw_input_contents().empty()) return FromContents(input, tensor.contents());
  if (tensor.has_contents()) input.Refuse("it has contents beside raw_input_contents");
  if (request.raw_input_contents_size() != request.inputs_size()) {
    input.Refuse(absl::StrCat("raw_input_contents of ", request.raw_input_contents_size(), " inputs, not ",
                              request.inputs_size()));
  }
  return FromRaw(input, request.raw_input_contents(index));
}

void EncodeOutput(const std::string& name, const Tensor& tensor, inference::ModelInferResponse* response) {
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
