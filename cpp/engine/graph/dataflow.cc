// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/dataflow.h"

#include <algorithm>
#include <charconv>

#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

constexpr std::int64_t kManyElements = 1 << 20;

const tf::TensorProto* ConstProto(const Value& value) {
  if (!value.Is("Const")) return nullptr;
  const auto attr = value.node->attr().find("value");
  return attr == value.node->attr().end() ? nullptr : &attr->second.tensor();
}

std::optional<tf::Tensor> Read(const tf::TensorProto& proto) {
  tf::Tensor tensor;
  if (!tf::TensorShape::IsValid(proto.tensor_shape()) || !tensor.FromProto(proto)) return {};
  return tensor;
}

std::optional<std::vector<std::int64_t>> Whole(const tf::TensorShapeProto& shape) {
  if (shape.unknown_rank()) return {};
  std::vector<std::int64_t> dims;
  for (const auto& dim : shape.dim()) {
    if (dim.size() < 0) return {};
    dims.push_back(dim.size());
  }
  return dims;
}

const tf::AttrValue* Find(const Value& value, const char* name) {
  if (value.node == nullptr) return nullptr;
  const auto attr = value.node->attr().find(name);
  return attr == value.node->attr().end() ? nullptr : &attr->second;
}

int ParseIndex(const std::string& text, std::size_t begin) {
  int index = -1;
  const auto [end, error] = std::from_chars(text.data() + begin, text.data() + text.size(), index);
  return error == std::errc() && end == text.data() + text.size() ? index : -1;
}

}  // namespace

bool IsControl(const std::string& reference) { return !reference.empty() && reference[0] == '^'; }

int CountInputs(const tf::NodeDef& node) {
  return static_cast<int>(std::count_if(node.input().begin(), node.input().end(),
                                        [](const std::string& input) { return !IsControl(input); }));
}

std::string Reference(const std::string& node, int index) {
  return index == 0 ? node : node + ":" + std::to_string(index);
}

Dataflow::Dataflow(const tf::GraphDef& graph) {
  for (const tf::NodeDef& node : graph.node()) nodes_.emplace(node.name(), &node);
}

Dataflow::Dataflow(const tf::FunctionDef& function) {
  for (const tf::NodeDef& node : function.node_def()) nodes_.emplace(node.name(), &node);
  for (const auto& argument : function.signature().input_arg()) {
    const int index = static_cast<int>(arguments_.size());
    arguments_.emplace(argument.name(), index);
  }
}

Value Dataflow::Source(const std::string& reference) const {
  if (IsControl(reference)) return {};
  if (const auto argument = arguments_.find(reference); argument != arguments_.end()) {
    return {nullptr, argument->second};
  }
  const std::size_t first = reference.find(':'), last = reference.rfind(':');
  const auto node = nodes_.find(reference.substr(0, first));
  if (node == nodes_.end()) return {};
  // The ops whose values are looked at have one output, or one list of outputs.
  const int index = first == std::string::npos ? 0 : ParseIndex(reference, last + 1);
  return index < 0 ? Value() : Value{node->second, index};
}

Value Dataflow::Resolve(const std::string& reference, std::vector<std::string>* controls) const {
  Value value = Source(reference);
  while (value.Is("Identity") && CountInputs(*value.node) == 1) {
    value = Input({value.node, 0}, 0, controls);
  }
  return value;
}

Value Dataflow::Input(const Value& value, int i, std::vector<std::string>* controls) const {
  if (value.node == nullptr || i >= CountInputs(*value.node)) return {};
  if (controls != nullptr) {
    std::copy_if(value.node->input().begin(), value.node->input().end(), std::back_inserter(*controls),
                 IsControl);
  }
  return Resolve(value.node->input(i), controls);
}

std::optional<std::vector<std::int64_t>> Integers(const Value& value) {
  const tf::TensorProto* proto = ConstProto(value);
  if (proto == nullptr || (proto->dtype() != tf::DT_INT32 && proto->dtype() != tf::DT_INT64)) return {};
  const auto tensor = Read(*proto);
  if (!tensor || tensor->dims() > 1 || tensor->NumElements() > kManyElements) return {};
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < tensor->NumElements(); ++i) {
    numbers.push_back(proto->dtype() == tf::DT_INT32 ? tensor->flat<std::int32_t>()(i)
                                                     : tensor->flat<std::int64_t>()(i));
  }
  return numbers;
}

std::optional<std::int64_t> Integer(const Value& value) {
  const tf::TensorProto* proto = ConstProto(value);
  if (proto == nullptr || proto->tensor_shape().dim_size() != 0) return {};
  const auto numbers = Integers(value);
  if (!numbers || numbers->size() != 1) return {};
  return numbers->front();
}

bool IsConstant(const Value& value, float number) {
  const tf::TensorProto* proto = ConstProto(value);
  if (proto == nullptr || proto->dtype() != tf::DT_FLOAT) return false;
  const auto tensor = Read(*proto);
  if (!tensor || tensor->NumElements() == 0 || tensor->NumElements() > kManyElements) return false;
  const auto flat = tensor->flat<float>();
  return std::all_of(flat.data(), flat.data() + flat.size(), [number](float x) { return x == number; });
}

std::optional<std::vector<std::int64_t>> StaticShape(const Dataflow& graph, const Value& value) {
  if (const tf::TensorProto* proto = ConstProto(value)) return Whole(proto->tensor_shape());
  if (value.Is("ReadVariableOp")) return StaticShape(graph, graph.Input(value, 0));
  if (value.Is("Unpack") && IntAttr(value, "axis", 0) == 0) {
    auto shape = StaticShape(graph, graph.Input(value, 0));
    if (shape && !shape->empty()) shape->erase(shape->begin());
    return shape;
  }
  const tf::AttrValue* shape = value.Is("VarHandleOp") ? Find(value, "shape") : nullptr;
  return shape == nullptr ? std::nullopt : Whole(shape->shape());
}

tf::DataType TypeAttr(const Value& value, const char* name) {
  const tf::AttrValue* attr = Find(value, name);
  return attr == nullptr ? tf::DT_INVALID : attr->type();
}

std::int64_t IntAttr(const Value& value, const char* name, std::int64_t otherwise) {
  const tf::AttrValue* attr = Find(value, name);
  return attr == nullptr ? otherwise : attr->i();
}

bool BoolAttr(const Value& value, const char* name) {
  const tf::AttrValue* attr = Find(value, name);
  return attr != nullptr && attr->b();
}

}  // namespace savedmodel::engine
