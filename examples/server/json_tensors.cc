// SPDX-License-Identifier: Apache-2.0
#include "json_tensors.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace server {
using savedmodel::DType, savedmodel::Shape, savedmodel::Tensor;
namespace ts = tensorflow::serving;

namespace {

constexpr std::size_t kMaxAxes = 254;  // TensorFlow's limit

bool IsBytes(const Json& value) { return value.is_object() && value.size() == 1 && value.contains("b64"); }

std::string BytesOf(const std::string& what, const Json& value) {
  std::string bytes;
  if (value.is_string()) return value.get<std::string>();
  if (!IsBytes(value)) Refuse(what, " is a string, or {\"b64\": ...}, got ", value.type_name());
  if (!value["b64"].is_string() || !absl::Base64Unescape(value["b64"].get_ref<const std::string&>(), &bytes))
    Refuse(what, ": its b64 is no base64");
  return bytes;
}

// Nested lists as one tensor.
class Builder {
 public:
  Builder(const savedmodel::TensorSpec& spec, std::vector<const Json*> rows, bool has_rows)
      : what_(absl::StrCat("input '", spec.key, "'")), dtype_(spec.dtype), rows_(std::move(rows)) {
    if (has_rows) sizes_.push_back(static_cast<std::int64_t>(rows_.size()));
    for (const Json* first = rows_.empty() ? nullptr : rows_[0]; first != nullptr && first->is_array();) {
      sizes_.push_back(static_cast<std::int64_t>(first->size()));
      if (sizes_.size() > kMaxAxes) Refuse(what_, ": its lists are nested more than ", kMaxAxes, " deep");
      first = first->empty() ? nullptr : &(*first)[0];
    }
    first_axis_ = has_rows ? 1 : 0;
  }

  Tensor Build() {
    // clang-format off
    switch (dtype_) {
      case DType::kFloat32: return Numbers<float>();
      case DType::kFloat64: return Numbers<double>();
      case DType::kInt8: return Numbers<std::int8_t>();
      case DType::kInt16: return Numbers<std::int16_t>();
      case DType::kInt32: return Numbers<std::int32_t>();
      case DType::kInt64: return Numbers<std::int64_t>();
      case DType::kUInt8: return Numbers<std::uint8_t>();
      case DType::kUInt16: return Numbers<std::uint16_t>();
      case DType::kUInt32: return Numbers<std::uint32_t>();
      case DType::kUInt64: return Numbers<std::uint64_t>();
      case DType::kBool: return Numbers<bool>();
      case DType::kString: return Strings();
      default: Refuse(what_, " is ", savedmodel::DTypeName(dtype_), ", which JSON has no form for");
    }
    // clang-format on
  }

 private:
  template <typename T>
  Tensor Numbers() {
    Tensor tensor = Tensor::Empty(dtype_, Shape(sizes_));
    T* next = tensor.mutable_data<T>();
    ForEach([&](const Json& value) { *next++ = Number<T>(value); });
    return tensor;
  }
  Tensor Strings() {
    std::vector<std::string> strings;
    ForEach([&](const Json& value) { strings.push_back(BytesOf(what_, value)); });
    return Tensor::Strings(Shape(sizes_), strings);
  }
  template <typename T>
  T Number(const Json& value) const {
    if constexpr (std::is_same_v<T, bool>) {
      if (value.is_boolean()) return value.get<bool>();
      Refuse(what_, " is true or false, got ", value.type_name());
    } else if constexpr (std::is_floating_point_v<T>) {
      if (value.is_number()) {
        const auto number = value.get<double>();
        const auto narrow = static_cast<T>(number);
        if (!std::isfinite(narrow))
          Refuse(what_, " is ", savedmodel::DTypeName(dtype_), ", ", value.dump(), " does not fit");
        return narrow;
      }
      if (const auto number = NotFinite(value)) return static_cast<T>(*number);
      Refuse(what_, " is a number, got ", value.type_name());
    } else {
      using Limits = std::numeric_limits<T>;
      if (!value.is_number_integer())
        Refuse(what_, " is an integer, got ", value.is_number() ? value.dump() : value.type_name());
      const bool fits =
          value.is_number_unsigned()
              ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(Limits::max())
              : value.get<std::int64_t>() >= static_cast<std::int64_t>(Limits::min()) && Limits::min() != 0;
      if (!fits) Refuse(what_, " is ", savedmodel::DTypeName(dtype_), ", ", value.dump(), " does not fit");
      return value.get<T>();
    }
  }
  template <typename Function>
  void ForEach(const Function& function) const {
    for (const Json* row : rows_) Visit(*row, first_axis_, function);
  }
  template <typename Function>
  void Visit(const Json& value, std::size_t axis, const Function& function) const {
    const bool leaf = axis == sizes_.size();
    if (leaf != !value.is_array() || (!leaf && value.size() != static_cast<std::size_t>(sizes_[axis])))
      Refuse(what_, ": its lists are of different lengths or depths");
    if (leaf) return function(value);
    for (const Json& one : value) Visit(one, axis + 1, function);
  }

  const std::string what_;
  const DType dtype_;
  const std::vector<const Json*> rows_;
  std::vector<std::int64_t> sizes_;
  std::size_t first_axis_ = 0;
};

// The one input that a value without a name is for.
const savedmodel::TensorSpec& OnlyInput(const Specs& specs, const char* field) {
  if (specs.size() == 1) return specs[0];
  Refuse("the signature has ", specs.size(), " inputs: '", field, "' names them");
}

Tensors FromRows(const Specs& specs, const Json& instances) {
  if (!instances.is_array() || instances.empty()) Refuse("'instances' is a list of at least one row");
  Tensors inputs(specs.size());
  std::vector<const Json*> rows;
  if (!instances[0].is_object() || IsBytes(instances[0])) {
    for (const Json& row : instances) rows.push_back(&row);
    inputs[0] = Builder(OnlyInput(specs, "instances"), std::move(rows), true).Build();
    return inputs;
  }
  for (const auto& [key, first] : instances[0].items()) {
    rows.clear();
    for (const Json& row : instances) {
      const bool same = row.is_object() && row.size() == instances[0].size() && row.contains(key);
      if (!same)
        Refuse("'instances': row ", &row - &instances[0], " does not name the same inputs as the first one");
      rows.push_back(&row[key]);
    }
    const std::size_t index = IndexOf(specs, key, "input");
    inputs[index] = Builder(specs[index], rows, true).Build();
  }
  return inputs;
}

Tensors FromColumns(const Specs& specs, const Json& columns) {
  Tensors inputs(specs.size());
  if (!columns.is_object() || IsBytes(columns)) {
    inputs[0] = Builder(OnlyInput(specs, "inputs"), {&columns}, false).Build();
    return inputs;
  }
  for (const auto& [key, value] : columns.items()) {
    const std::size_t index = IndexOf(specs, key, "input");
    inputs[index] = Builder(specs[index], {&value}, false).Build();
  }
  return inputs;
}

void AddString(std::string_view value, bool bytes, std::string* text) {
  if (!bytes) {
    try {
      text->append(Json(value).dump());
      return;
    } catch (const Json::type_error&) {  // no UTF-8
    }
  }
  absl::StrAppend(text, R"({"b64":")", absl::Base64Escape({value.data(), value.size()}), "\"}");
}

// Not finite numbers as JavaScript and Python's json have them.
template <typename T>
void AddNumber(T value, std::string* text) {
  if constexpr (std::is_same_v<T, bool>) {
    text->append(value ? "true" : "false");
  } else {
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) {
        text->append(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        return;
      }
    }
    char digits[32];
    const char* const end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
    text->append(digits, static_cast<std::size_t>(end - digits));
    const bool whole =
        std::is_floating_point_v<T> &&
        std::none_of(digits, const_cast<char*>(end), [](char c) { return c == '.' || c == 'e'; });
    if (whole) text->append(".0");
  }
}

// A tensor, or the part of it that begins at element `*next`, from `axis` on.
template <typename Add>
void AddNested(const Tensor& tensor, std::size_t axis, std::size_t* next, const Add& add, std::string* text) {
  const Shape& shape = tensor.shape();
  const auto rank = static_cast<std::size_t>(shape.end() - shape.begin());
  if (axis == rank) return add((*next)++);
  text->push_back('[');
  for (std::int64_t i = 0; i < shape.begin()[axis]; ++i) {
    if (i > 0) text->push_back(',');
    AddNested(tensor, axis + 1, next, add, text);
  }
  text->push_back(']');
}

// Output `key`: as a whole, or one row of it.
void AddTensor(const std::string& key, const Tensor& tensor, std::optional<std::int64_t> row,
               std::string* text) {
  const Shape& shape = tensor.shape();
  const std::size_t rows = row ? static_cast<std::size_t>(*shape.begin()) : 1;
  std::size_t next = row && rows > 0 ? static_cast<std::size_t>(*row) * (tensor.num_elements() / rows) : 0;
  const auto with = [&](const auto& add) { AddNested(tensor, row ? 1 : 0, &next, add, text); };
  const auto numbers = [&](auto* values) { with([=](std::size_t i) { AddNumber(values[i], text); }); };
  // clang-format off
  switch (tensor.dtype()) {
    case DType::kFloat32: return numbers(tensor.data<float>());
    case DType::kFloat64: return numbers(tensor.data<double>());
    case DType::kInt8: return numbers(tensor.data<std::int8_t>());
    case DType::kInt16: return numbers(tensor.data<std::int16_t>());
    case DType::kInt32: return numbers(tensor.data<std::int32_t>());
    case DType::kInt64: return numbers(tensor.data<std::int64_t>());
    case DType::kUInt8: return numbers(tensor.data<std::uint8_t>());
    case DType::kUInt16: return numbers(tensor.data<std::uint16_t>());
    case DType::kUInt32: return numbers(tensor.data<std::uint32_t>());
    case DType::kUInt64: return numbers(tensor.data<std::uint64_t>());
    case DType::kBool: return numbers(tensor.data<bool>());
    case DType::kString: return with([&](std::size_t i) { AddString(tensor.string(i), absl::EndsWith(key, "_bytes"), text); });
    default: Refuse("output '", key, "' is ", savedmodel::DTypeName(tensor.dtype()), ", which JSON has no form for");
  }
  // clang-format on
}

// `add` appends the output at an index of the job's; alone if it is the only one.
template <typename Add>
void AddOutputs(const Job& job, const Add& add, std::string* text) {
  if (job.outputs.size() == 1) return add(0);
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    absl::StrAppend(text, i == 0 ? "{" : ",", Json(job.Key(i)).dump(), ":");
    add(i);
  }
  text->push_back('}');
}

std::int64_t RowsOf(const Job& job, const Tensors& results) {
  std::optional<std::int64_t> rows;
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    const Shape& shape = results[job.outputs[i]].shape();
    if (shape.begin() == shape.end() || (rows && *rows != *shape.begin()))
      Refuse("output '", job.Key(i), "' is ", shape.ToString(),
             ", not a row for each instance: ask with 'inputs'");
    rows = *shape.begin();
  }
  return rows.value_or(0);
}

void AddFeature(const std::string& name, const Json& value, tensorflow::Example* example) {
  auto& feature = (*example->mutable_features()->mutable_feature())[name];
  const std::string what = "feature '" + name + "'";
  const bool list = value.is_array();
  const std::size_t size = list ? value.size() : 1;
  const auto at = [&](std::size_t i) -> const Json& { return list ? value[i] : value; };
  bool floats = false, numbers = true;
  for (std::size_t i = 0; i < size; ++i) {
    numbers = numbers && at(i).is_number();
    floats = floats || at(i).is_number_float();
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (!numbers) {
      feature.mutable_bytes_list()->add_value(BytesOf(what, at(i)));
    } else if (floats) {
      feature.mutable_float_list()->add_value(at(i).get<float>());
    } else if (at(i).is_number_unsigned() &&
               at(i).get<std::uint64_t>() >
                   static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      Refuse(what, " is int64, ", at(i).dump(), " does not fit");
    } else {
      feature.mutable_int64_list()->add_value(at(i).get<std::int64_t>());
    }
  }
}

void ToExample(const Json& features, const char* what, tensorflow::Example* example) {
  if (!features.is_object()) Refuse(what, " is an object of features");
  for (const auto& [name, value] : features.items()) AddFeature(name, value, example);
}

}  // namespace

Tensors InputsFromJson(const Specs& specs, const Json& body) {
  const bool rows = body.contains("instances");
  if (rows == body.contains("inputs")) Refuse("the body has either 'instances' or 'inputs'");
  Tensors inputs = rows ? FromRows(specs, body["instances"]) : FromColumns(specs, body["inputs"]);
  AddDefaults(specs, &inputs);
  return inputs;
}

std::string OutputsToJson(const Job& job, const Tensors& results, bool rows) {
  std::string text = rows ? R"({"predictions":[)" : R"({"outputs":)";
  const std::int64_t count = rows ? RowsOf(job, results) : 0;
  for (std::int64_t row = 0; row < count; ++row) {
    if (row > 0) text.push_back(',');
    AddOutputs(
        job, [&](std::size_t i) { AddTensor(job.Key(i), results[job.outputs[i]], row, &text); }, &text);
  }
  if (!rows) {
    AddOutputs(
        job, [&](std::size_t i) { AddTensor(job.Key(i), results[job.outputs[i]], std::nullopt, &text); },
        &text);
  }
  return text += rows ? "]}" : "}";
}

ts::Input ExamplesFromJson(const Json& body) {
  if (!body.contains("examples") || !body["examples"].is_array()) Refuse("the body has a list of 'examples'");
  ts::Input input;
  auto& list = *input.mutable_example_list_with_context();
  for (const Json& example : body["examples"]) ToExample(example, "an example", list.add_examples());
  if (body.contains("context")) ToExample(body["context"], "'context'", list.mutable_context());
  return input;
}

std::string ToJson(const ts::ClassificationResult& result) {
  std::string text = R"({"results":[)";
  for (const auto& row : result.classifications()) {
    absl::StrAppend(&text, text.back() == '[' ? "" : ",", "[");
    for (const auto& one : row.classes()) {
      absl::StrAppend(&text, text.back() == '[' ? "" : ",", "[");
      AddString(one.label(), false, &text);
      text.push_back(',');
      AddNumber(one.score(), &text);
      text.push_back(']');
    }
    text.push_back(']');
  }
  return text += "]}";
}

std::string ToJson(const ts::RegressionResult& result) {
  std::string text = R"({"results":[)";
  for (const auto& one : result.regressions()) {
    if (text.back() != '[') text.push_back(',');
    AddNumber(one.value(), &text);
  }
  return text += "]}";
}

}  // namespace server
