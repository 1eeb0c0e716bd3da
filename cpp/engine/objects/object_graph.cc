// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/object_graph.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/graph/signatures.h"
#include "engine/objects/saved_functions.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/protobuf/struct.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr int kDepth = 16;  // files may nest without limit

std::string Tensor(tf::DataType dtype, const tf::TensorShapeProto& shape) {
  return std::string(DTypeName(static_cast<DType>(tf::BaseType(dtype)))) + " " +
         PartialShapeToString(ToPartialShape(shape));
}

std::string Named(const std::string& name, const std::string& tensor) {
  return name.empty() ? tensor : name + ": " + tensor;
}

std::string Text(const tf::StructuredValue& value, int depth);

template <typename Values>
std::string List(const Values& values, int depth) {
  std::string text;
  for (const tf::StructuredValue& value : values) text += (text.empty() ? "" : ", ") + Text(value, depth);
  return text;
}

std::string Text(const tf::StructuredValue& value, int depth) {
  if (depth > kDepth) return "...";
  switch (value.kind_case()) {
    case tf::StructuredValue::kNoneValue:
      return "None";
    case tf::StructuredValue::kFloat64Value:
      return absl::StrCat(value.float64_value());
    case tf::StructuredValue::kInt64Value:
      return absl::StrCat(value.int64_value());
    case tf::StructuredValue::kStringValue:
      return "'" + absl::Utf8SafeCEscape(value.string_value()) + "'";
    case tf::StructuredValue::kBoolValue:
      return value.bool_value() ? "True" : "False";
    case tf::StructuredValue::kTensorShapeValue:
      return PartialShapeToString(ToPartialShape(value.tensor_shape_value()));
    case tf::StructuredValue::kTensorDtypeValue:
      return DTypeName(static_cast<DType>(value.tensor_dtype_value()));
    case tf::StructuredValue::kTensorSpecValue:
      return Named(value.tensor_spec_value().name(),
                   Tensor(value.tensor_spec_value().dtype(), value.tensor_spec_value().shape()));
    case tf::StructuredValue::kBoundedTensorSpecValue:
      return Named(
          value.bounded_tensor_spec_value().name(),
          Tensor(value.bounded_tensor_spec_value().dtype(), value.bounded_tensor_spec_value().shape()));
    case tf::StructuredValue::kTypeSpecValue:
      return value.type_spec_value().type_spec_class_name();
    case tf::StructuredValue::kListValue:
      return "[" + List(value.list_value().values(), depth + 1) + "]";
    case tf::StructuredValue::kTupleValue:
      return "(" + List(value.tuple_value().values(), depth + 1) + ")";
    case tf::StructuredValue::kDictValue: {
      const std::map<std::string, tf::StructuredValue> sorted(value.dict_value().fields().begin(),
                                                              value.dict_value().fields().end());
      std::string text;
      for (const auto& [key, field] : sorted) {
        text += (text.empty() ? "'" : ", '") + key + "': " + Text(field, depth + 1);
      }
      return "{" + text + "}";
    }
    case tf::StructuredValue::kNamedTupleValue: {
      std::string text;
      for (const auto& pair : value.named_tuple_value().values()) {
        text += (text.empty() ? "" : ", ") + pair.key() + "=" + Text(pair.value(), depth + 1);
      }
      return value.named_tuple_value().name() + "(" + text + ")";
    }
    default:
      return "...";
  }
}

// A signature is the tuple of its positional arguments and the dict of its named ones.
std::string Arguments(const tf::StructuredValue& signature) {
  const auto& parts = signature.tuple_value().values();
  if (parts.size() != 2 || !parts[0].has_tuple_value() || !parts[1].has_dict_value()) {
    return "(" + Text(signature, 0) + ")";
  }
  std::string text = List(parts[0].tuple_value().values(), 0);
  const std::map<std::string, tf::StructuredValue> sorted(parts[1].dict_value().fields().begin(),
                                                          parts[1].dict_value().fields().end());
  for (const auto& [key, value] : sorted) {
    const bool tensor = value.has_tensor_spec_value();
    text += (text.empty() ? "" : ", ") + key + (tensor ? ": " : "=") +
            (tensor ? Tensor(value.tensor_spec_value().dtype(), value.tensor_spec_value().shape())
                    : Text(value, 0));
  }
  return "(" + text + ")";
}

}  // namespace

std::vector<ConcreteFunctionInfo> ReadConcreteFunctions(const tf::SavedObjectGraph& graph) {
  std::vector<ConcreteFunctionInfo> functions;
  const SavedFunctions saved(graph);
  for (const auto& [path, function] : saved.all()) {
    for (const ConcreteFunction& trace : function.traces) {
      const tf::SavedConcreteFunction& concrete = graph.concrete_functions().at(trace.name);
      functions.push_back({path, trace.name, Arguments(concrete.canonicalized_input_signature()),
                           Text(concrete.output_signature(), 0)});
    }
  }
  std::sort(functions.begin(), functions.end(), [](const auto& a, const auto& b) {
    return std::tie(a.attribute, a.name) < std::tie(b.attribute, b.name);
  });
  return functions;
}

}  // namespace savedmodel::engine
