// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/structure.h"

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "engine/graph/signatures.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/protobuf/struct.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr int kDepth = 64;  // files may nest without limit
constexpr std::int64_t kMaxSplits = 64;

TensorSpec Part(const std::string& key, tf::DataType dtype, PartialShape shape) {
  TensorSpec part;
  part.key = key;
  part.dtype = static_cast<DType>(tf::BaseType(dtype));
  part.shape = std::move(shape);
  return part;
}

// SparseTensorSpec(shape, dtype), RaggedTensorSpec(shape, dtype, ragged_rank, row_splits_dtype).
std::optional<TensorSpec> Composite(const tf::TypeSpecProto& type) {
  const auto& state = type.type_state().tuple_value().values();
  const bool sparse = type.type_spec_class() == tf::TypeSpecProto::SPARSE_TENSOR_SPEC;
  const bool ragged = type.type_spec_class() == tf::TypeSpecProto::RAGGED_TENSOR_SPEC;
  if ((!sparse && !ragged) || state.size() < (sparse ? 2 : 4)) return std::nullopt;
  TensorSpec spec = Part("", state[1].tensor_dtype_value(), std::nullopt);
  if (state[0].has_tensor_shape_value()) spec.shape = ToPartialShape(state[0].tensor_shape_value());
  if (sparse) {
    const std::int64_t rank = spec.shape ? static_cast<std::int64_t>(spec.shape->size()) : -1;
    spec.encoding = Encoding::kSparse;
    spec.components = {Part("#indices", tf::DT_INT64, {{-1, rank}}),
                       Part("#values", state[1].tensor_dtype_value(), {{-1}}),
                       Part("#dense_shape", tf::DT_INT64, {{rank}})};
    return spec;
  }
  const std::int64_t splits = state[2].int64_value();
  if (splits < 1 || splits > kMaxSplits) return std::nullopt;
  spec.encoding = Encoding::kRagged;
  spec.components.push_back(Part("#0", state[1].tensor_dtype_value(), std::nullopt));
  for (std::int64_t i = 1; i <= splits; ++i) {
    spec.components.push_back(Part("#" + std::to_string(i), state[3].tensor_dtype_value(), {{-1}}));
  }
  return spec;
}

class Reader {
 public:
  Structure Read(const tf::StructuredValue& value, int depth) {
    Structure read;
    if (depth > kDepth) return Other("a value that is nested too deeply");
    switch (value.kind_case()) {
      case tf::StructuredValue::kNoneValue:
        break;
      case tf::StructuredValue::kFloat64Value:
        read.kind = Structure::Kind::kFloat;
        read.real = value.float64_value();
        break;
      case tf::StructuredValue::kInt64Value:
        read.kind = Structure::Kind::kInt;
        read.number = value.int64_value();
        break;
      case tf::StructuredValue::kBoolValue:
        read.kind = Structure::Kind::kBool;
        read.number = value.bool_value() ? 1 : 0;
        break;
      case tf::StructuredValue::kStringValue:
        read.kind = Structure::Kind::kString;
        read.text = value.string_value();
        break;
      case tf::StructuredValue::kTensorSpecValue: {
        const auto& spec = value.tensor_spec_value();
        return Tensor(Part("", spec.dtype(), ToPartialShape(spec.shape())));
      }
      case tf::StructuredValue::kBoundedTensorSpecValue: {
        const auto& spec = value.bounded_tensor_spec_value();
        return Tensor(Part("", spec.dtype(), ToPartialShape(spec.shape())));
      }
      case tf::StructuredValue::kTypeSpecValue: {
        std::optional<TensorSpec> spec = Composite(value.type_spec_value());
        return spec ? Tensor(*std::move(spec)) : Other(value.type_spec_value().type_spec_class_name());
      }
      case tf::StructuredValue::kListValue:
        read.kind = Structure::Kind::kList;
        for (const auto& item : value.list_value().values()) read.items.push_back(Read(item, depth + 1));
        break;
      case tf::StructuredValue::kTupleValue:
        read.kind = Structure::Kind::kTuple;
        for (const auto& item : value.tuple_value().values()) read.items.push_back(Read(item, depth + 1));
        break;
      case tf::StructuredValue::kDictValue: {
        read.kind = Structure::Kind::kDict;
        const auto& fields = value.dict_value().fields();
        const std::map<std::string, tf::StructuredValue> sorted(fields.begin(), fields.end());
        for (const auto& [key, item] : sorted) {
          read.keys.push_back(key);
          read.items.push_back(Read(item, depth + 1));
        }
        break;
      }
      case tf::StructuredValue::kNamedTupleValue:
        read.kind = Structure::Kind::kNamedTuple;
        read.text = value.named_tuple_value().name();
        for (const auto& pair : value.named_tuple_value().values()) {
          read.keys.push_back(pair.key());
          read.items.push_back(Read(pair.value(), depth + 1));
        }
        break;
      case tf::StructuredValue::kTensorDtypeValue:
        read.kind = Structure::Kind::kDType;
        read.text = DTypeName(static_cast<DType>(value.tensor_dtype_value()));
        break;
      case tf::StructuredValue::kTensorShapeValue:
        return Other("a TensorShape");
      default:
        return Other("a value of an unknown kind");
    }
    return read;
  }
  std::vector<TensorSpec> Take() { return std::move(specs_); }

 private:
  static Structure Other(const std::string& what) {
    Structure other;
    other.kind = Structure::Kind::kOther;
    other.text = what;
    return other;
  }
  Structure Tensor(TensorSpec spec) {
    Structure read;
    read.kind = Structure::Kind::kTensor;
    read.number = static_cast<std::int64_t>(specs_.size());
    specs_.push_back(std::move(spec));
    return read;
  }
  std::vector<TensorSpec> specs_;
};

// Names tensors by their path: "x", "images_left", "output_0".
class Namer {
 public:
  explicit Namer(std::vector<TensorSpec>* specs) : specs_(specs) {}

  void Name(const Structure& value, const std::string& path) {
    if (value.kind == Structure::Kind::kTensor) {
      TensorSpec& spec = (*specs_)[static_cast<std::size_t>(value.number)];
      spec.key = Fresh(path);
      for (TensorSpec& part : spec.components) part.key = spec.key + part.key;
    }
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      const std::string step = i < value.keys.size() ? value.keys[i] : std::to_string(i);
      Name(value.items[i], path.empty() ? step : path + "_" + step);
    }
  }

 private:
  std::string Fresh(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !taken_.insert(name).second; ++i) name = wanted + "_" + std::to_string(i);
    return name;
  }
  std::vector<TensorSpec>* specs_;
  std::set<std::string> taken_;
};

std::string Parameter(const Structure& parameters, std::size_t index) {
  const Structure* names = Field(parameters, "args");
  if (names != nullptr && index < names->items.size()) return names->items[index].text;
  return "args_" + std::to_string(index);
}

void NameArguments(const Structure& parameters, ConcreteFunction* function) {
  Namer namer(&function->inputs);
  const std::vector<Structure>& parts = function->arguments.items;
  const bool as_written = parts.size() == 2 && parts[0].kind == Structure::Kind::kTuple &&
                          parts[1].kind == Structure::Kind::kDict;
  if (!as_written) return namer.Name(function->arguments, "input");
  for (std::size_t i = 0; i < parts[0].items.size(); ++i) {
    namer.Name(parts[0].items[i], Parameter(parameters, i));
  }
  namer.Name(parts[1], "");
}

void NameResults(ConcreteFunction* function) {
  Namer namer(&function->outputs);
  const Structure& results = function->results;
  if (results.kind == Structure::Kind::kTensor) return namer.Name(results, "output_0");
  const bool keyed = results.kind == Structure::Kind::kDict || results.kind == Structure::Kind::kNamedTuple;
  namer.Name(results, keyed ? "" : "output");
}

}  // namespace

const Structure* Field(const Structure& tuple, const std::string& name) {
  for (std::size_t i = 0; i < tuple.keys.size() && i < tuple.items.size(); ++i) {
    if (tuple.keys[i] == name) return &tuple.items[i];
  }
  return nullptr;
}

Structure ReadStructure(const tf::StructuredValue& value) { return Reader().Read(value, 0); }

ConcreteFunction ReadConcreteFunction(const std::string& name, const tf::SavedConcreteFunction& concrete,
                                      const Structure& parameters) {
  ConcreteFunction function;
  function.name = name;
  Reader arguments;
  function.arguments = arguments.Read(concrete.canonicalized_input_signature(), 0);
  function.inputs = arguments.Take();
  Reader results;
  function.results = results.Read(concrete.output_signature(), 0);
  function.outputs = results.Take();
  NameArguments(parameters, &function);
  NameResults(&function);
  return function;
}

}  // namespace savedmodel::engine
