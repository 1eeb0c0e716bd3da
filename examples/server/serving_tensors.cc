// SPDX-License-Identifier: Apache-2.0
#include "serving_tensors.h"

#include <algorithm>
#include <type_traits>

namespace server {
using savedmodel::DType, savedmodel::Shape, savedmodel::Tensor;
using tensorflow::TensorProto;

namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;
// Of a tensor with elements that were not sent: a few bytes must not become all memory.
constexpr std::size_t kMaxFilledBytes = 16U << 20U;

struct Input {
  const std::string& name;
  const TensorProto& proto;
  Shape shape;
  DType dtype;
  const std::shared_ptr<const void>& owner;

  template <typename... Parts>
  [[noreturn]] void Refuse(const Parts&... parts) const {
    server::Refuse("input '", name, "', ", savedmodel::DTypeName(dtype), " ", shape.ToString(), ": ",
                   parts...);
  }
  void CheckCount(std::size_t given, std::size_t bytes) const {
    const std::size_t count = shape.num_elements();
    if (given > count) Refuse(given, " values, not ", count);
    if (given < count && count > kMaxFilledBytes / bytes)
      Refuse("only ", given, " values of ", count, ", and more than ", kMaxFilledBytes, " bytes to fill up");
  }
};

Shape ShapeOf(const std::string& name, const tensorflow::TensorShapeProto& proto) {
  if (proto.unknown_rank()) Refuse("input '", name, "' has a shape of unknown rank");
  std::vector<std::int64_t> sizes;
  std::int64_t count = 1;
  for (const auto& dim : proto.dim()) {
    if (dim.size() < 0) Refuse("input '", name, "' has a dimension of the size ", dim.size());
    sizes.push_back(dim.size());
    if (dim.size() > 0 && count > kMaxElements / dim.size())
      Refuse("input '", name, "' has a shape of too many elements");
    count *= dim.size();
  }
  return Shape(sizes.data(), sizes.size());
}

// Element i of a field is to[i]; the last one stands for those that are missing, none for zeros.
template <typename To, typename Field, typename Convert>
Tensor Filled(const Input& input, const Field& field, const Convert& convert) {
  const auto count = input.shape.num_elements();
  const auto given = static_cast<std::size_t>(field.size());
  input.CheckCount(given, sizeof(To));
  Tensor tensor = Tensor::Empty(input.dtype, input.shape);
  To* const to = static_cast<To*>(tensor.mutable_data());
  for (std::size_t i = 0; i < given; ++i) to[i] = convert(field[static_cast<int>(i)]);
  std::fill(to + given, to + count, given == 0 ? To() : to[given - 1]);
  return tensor;
}

template <typename To, typename From>
Tensor FromField(const Input& input, const google::protobuf::RepeatedField<From>& field) {
  if (std::is_same_v<To, From> && static_cast<std::size_t>(field.size()) == input.shape.num_elements())
    return Tensor::Wrap(input.dtype, input.shape, field.data(), input.owner);
  return Filled<To>(input, field, [&](From value) {
    if (!std::is_same_v<To, From> && value != static_cast<From>(static_cast<To>(value)))
      input.Refuse(value, " does not fit");
    return static_cast<To>(value);
  });
}

// Real and imaginary parts in turn, which is how std::complex has them.
template <typename Part>
Tensor FromParts(const Input& input, const google::protobuf::RepeatedField<Part>& field) {
  const std::size_t given = static_cast<std::size_t>(field.size()) / 2, count = input.shape.num_elements();
  if (field.size() % 2 != 0) input.Refuse(field.size(), " parts of complex numbers");
  input.CheckCount(given, 2 * sizeof(Part));
  Tensor tensor = Tensor::Empty(input.dtype, input.shape);
  Part* const to = static_cast<Part*>(tensor.mutable_data());
  std::copy(field.begin(), field.end(), to);
  for (std::size_t i = given; i < count; ++i) {
    for (std::size_t part = 0; part < 2; ++part)
      to[2 * i + part] = given == 0 ? Part() : to[2 * given - 2 + part];
  }
  return tensor;
}

Tensor FromStrings(const Input& input) {
  const auto& field = input.proto.string_val();
  const auto count = input.shape.num_elements();
  input.CheckCount(static_cast<std::size_t>(field.size()), sizeof(std::string_view) + sizeof(std::string));
  std::vector<std::string_view> views(field.begin(), field.end());
  views.resize(count, views.empty() ? std::string_view() : views.back());
  return Tensor::Strings(input.shape, views);
}

// As TensorFlow writes them: all lengths, each as a varint, and then all bytes.
Tensor StringsFromContent(const Input& input) {
  std::string_view content = input.proto.tensor_content();
  std::vector<std::size_t> sizes;
  std::vector<std::string_view> views;
  const std::size_t count = input.shape.num_elements();
  while (sizes.size() < count && !content.empty()) {
    std::size_t size = 0;
    for (unsigned shift = 0;; shift += 7) {
      if (content.empty() || shift > 56) input.Refuse("its tensor_content is damaged");
      const auto byte = static_cast<unsigned char>(content.front());
      content.remove_prefix(1);
      size |= static_cast<std::size_t>(byte & 127U) << shift;
      if (byte < 128) break;
    }
    sizes.push_back(size);
  }
  for (const std::size_t size : sizes) {
    if (size > content.size()) input.Refuse("its tensor_content is damaged");
    views.push_back(content.substr(0, size));
    content.remove_prefix(size);
  }
  if (views.size() != count || !content.empty())
    input.Refuse("its tensor_content has not ", count, " strings");
  return Tensor::Strings(input.shape, views);
}

Tensor FromContent(const Input& input) {
  const std::string& content = input.proto.tensor_content();
  const std::size_t size = savedmodel::DTypeSize(input.dtype), count = input.shape.num_elements();
  if (content.size() % size != 0 || content.size() / size != count)
    input.Refuse(content.size(), " bytes of tensor_content, not ", size, " for each of ", count, " elements");
  // Another value in a C++ bool is undefined behaviour in a kernel.
  if (input.dtype == DType::kBool &&
      std::any_of(content.begin(), content.end(), [](char c) { return (c & ~1) != 0; }))
    input.Refuse("a bool is a byte of 0 or 1");
  return Tensor::Wrap(input.dtype, input.shape, content.data(), input.owner);
}

}  // namespace

std::string NameOf(tensorflow::DataType type) {
  return tensorflow::DataType_IsValid(type) ? tensorflow::DataType_Name(type)
                                            : absl::StrCat(static_cast<int>(type));
}

Tensor FromProto(const std::string& name, const TensorProto& proto,
                 const std::shared_ptr<const void>& owner) {
  const auto dtype = static_cast<DType>(proto.dtype());
  const Input input{name, proto, ShapeOf(name, proto.tensor_shape()), dtype, owner};
  if (dtype != DType::kString && !proto.tensor_content().empty() && savedmodel::DTypeSize(dtype) > 0)
    return FromContent(input);
  if (dtype == DType::kString && !proto.tensor_content().empty()) return StringsFromContent(input);
  const auto half = [&] {
    return Filled<std::uint16_t>(input, proto.half_val(),
                                 [](int bits) { return static_cast<std::uint16_t>(bits); });
  };
  // clang-format off
  switch (dtype) {
    case DType::kFloat32: return FromField<float>(input, proto.float_val());
    case DType::kFloat64: return FromField<double>(input, proto.double_val());
    case DType::kInt8: return FromField<std::int8_t>(input, proto.int_val());
    case DType::kInt16: return FromField<std::int16_t>(input, proto.int_val());
    case DType::kInt32: return FromField<std::int32_t>(input, proto.int_val());
    case DType::kInt64: return FromField<std::int64_t>(input, proto.int64_val());
    case DType::kUInt8: return FromField<std::uint8_t>(input, proto.int_val());
    case DType::kUInt16: return FromField<std::uint16_t>(input, proto.int_val());
    case DType::kUInt32: return FromField<std::uint32_t>(input, proto.uint32_val());
    case DType::kUInt64: return FromField<std::uint64_t>(input, proto.uint64_val());
    case DType::kBool: return FromField<bool>(input, proto.bool_val());
    case DType::kFloat16: case DType::kBFloat16: return half();
    case DType::kComplex64: return FromParts<float>(input, proto.scomplex_val());
    case DType::kComplex128: return FromParts<double>(input, proto.dcomplex_val());
    case DType::kString: return FromStrings(input);
    default: Refuse("input '", name, "' is ", NameOf(proto.dtype()), ", which no request can hold");
  }
  // clang-format on
}

void ToProto(const Tensor& tensor, TensorProto* proto) {
  proto->set_dtype(static_cast<tensorflow::DataType>(tensor.dtype()));
  for (const std::int64_t size : tensor.shape()) proto->mutable_tensor_shape()->add_dim()->set_size(size);
  if (tensor.shape().begin() == tensor.shape().end()) proto->mutable_tensor_shape();
  const auto add = [&](auto* values, auto* field) {
    field->Reserve(static_cast<int>(tensor.num_elements()));
    field->Add(values, values + tensor.num_elements());
  };
  const auto add_parts = [&](auto* parts, auto* field) {
    field->Add(parts, parts + 2 * tensor.num_elements());
  };
  // The field of its type, as TensorFlow Serving has it: clients read `float_val`.
  // clang-format off
  switch (tensor.dtype()) {
    case DType::kFloat32: return add(tensor.data<float>(), proto->mutable_float_val());
    case DType::kFloat64: return add(tensor.data<double>(), proto->mutable_double_val());
    case DType::kInt8: return add(tensor.data<std::int8_t>(), proto->mutable_int_val());
    case DType::kInt16: return add(tensor.data<std::int16_t>(), proto->mutable_int_val());
    case DType::kInt32: return add(tensor.data<std::int32_t>(), proto->mutable_int_val());
    case DType::kInt64: return add(tensor.data<std::int64_t>(), proto->mutable_int64_val());
    case DType::kUInt8: return add(tensor.data<std::uint8_t>(), proto->mutable_int_val());
    case DType::kUInt16: return add(tensor.data<std::uint16_t>(), proto->mutable_int_val());
    case DType::kUInt32: return add(tensor.data<std::uint32_t>(), proto->mutable_uint32_val());
    case DType::kUInt64: return add(tensor.data<std::uint64_t>(), proto->mutable_uint64_val());
    case DType::kBool: return add(tensor.data<bool>(), proto->mutable_bool_val());
    case DType::kFloat16: case DType::kBFloat16:
      return add(static_cast<const std::uint16_t*>(tensor.data()), proto->mutable_half_val());
    case DType::kComplex64: return add_parts(static_cast<const float*>(tensor.data()), proto->mutable_scomplex_val());
    case DType::kComplex128: return add_parts(static_cast<const double*>(tensor.data()), proto->mutable_dcomplex_val());
    case DType::kString:
      for (std::size_t i = 0; i < tensor.num_elements(); ++i) proto->add_string_val(tensor.string(i).data(), tensor.string(i).size());
      return;
    default: proto->set_tensor_content(static_cast<const char*>(tensor.data()), tensor.byte_size());
  }
  // clang-format on
}

void ToProto(const savedmodel::TensorSpec& spec, tensorflow::TensorInfo* info) {
  info->set_dtype(static_cast<tensorflow::DataType>(spec.dtype));
  info->set_name(spec.name);
  auto* const shape = info->mutable_tensor_shape();
  if (!spec.shape) shape->set_unknown_rank(true);
  for (const std::int64_t size : spec.shape.value_or(std::vector<std::int64_t>{}))
    shape->add_dim()->set_size(size);
}

}  // namespace server
