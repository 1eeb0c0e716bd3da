// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/dataflow.h"

#include <algorithm>

#include "engine/graph/attributes.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

constexpr std::int64_t kManyElements = 1 << 20;

std::optional<std::vector<std::int64_t>> Whole(const tf::TensorShapeProto& shape) {
  if (shape.unknown_rank()) return {};
  std::vector<std::int64_t> dims;
  for (const auto& dim : shape.dim()) {
    if (dim.size() < 0) return {};
    dims.push_back(dim.size());
  }
  return dims;
}

}  // namespace

std::string Reference(const std::string& node, int index) {
  return index == 0 ? node : node + ":" + std::to_string(index);
}

Value Dataflow::Source(const std::string& reference) const {
  const TensorRef tensor(reference);
  if (tensor.is_control()) return {};
  if (const int argument = graph_.Argument(reference); argument >= 0) return {nullptr, argument};
  const tf::NodeDef* node = graph_.Find(tensor.node);
  // The ops whose values are looked at have one output, or one list of outputs.
  return node == nullptr || tensor.index < 0 ? Value() : Value{node, tensor.index};
}

Value Dataflow::Resolve(const std::string& reference, std::vector<std::string>* controls) const {
  Value value = Source(reference);
  while (value.Is("Identity") && CountDataInputs(*value.node) == 1) {
    value = Input({value.node, 0}, 0, controls);
  }
  return value;
}

Value Dataflow::Input(const Value& value, int i, std::vector<std::string>* controls) const {
  if (value.node == nullptr || i >= CountDataInputs(*value.node)) return {};
  if (controls != nullptr) {
    std::copy_if(value.node->input().begin(), value.node->input().end(), std::back_inserter(*controls),
                 IsControl);
  }
  return Resolve(value.node->input(i), controls);
}

std::optional<std::vector<std::int64_t>> Integers(const Value& value) {
  const auto tensor = value.Is("Const") ? ConstValue(*value.node) : std::nullopt;
  if (!tensor || tensor->dims() > 1 || tensor->NumElements() > kManyElements) return {};
  return Integers(&*tensor);
}

std::optional<std::int64_t> Integer(const Value& value) {
  if (!value.Is("Const") || Attr(value, "value").tensor().tensor_shape().dim_size() != 0) return {};
  const auto numbers = Integers(value);
  if (!numbers || numbers->size() != 1) return {};
  return numbers->front();
}

std::optional<float> RepeatedNumber(const Value& value) {
  const auto tensor = value.Is("Const") ? ConstValue(*value.node) : std::nullopt;
  if (!tensor || tensor->dtype() != tf::DT_FLOAT) return {};
  if (tensor->NumElements() == 0 || tensor->NumElements() > kManyElements) return {};
  const auto flat = tensor->flat<float>();
  const float first = flat(0);
  const bool same = std::all_of(flat.data(), flat.data() + flat.size(), [=](float x) { return x == first; });
  return same ? std::optional<float>(first) : std::nullopt;
}

std::optional<std::vector<std::int64_t>> StaticShape(const Dataflow& graph, const Value& value) {
  if (value.Is("Const")) return Whole(Attr(value, "value").tensor().tensor_shape());
  if (value.Is("ReadVariableOp")) return StaticShape(graph, graph.Input(value, 0));
  if (value.Is("Unpack") && Attr(*value.node, "axis").i() == 0) {
    auto shape = StaticShape(graph, graph.Input(value, 0));
    if (shape && !shape->empty()) shape->erase(shape->begin());
    return shape;
  }
  const tf::AttrValue* shape = value.Is("VarHandleOp") ? FindAttr(*value.node, "shape") : nullptr;
  return shape == nullptr ? std::nullopt : Whole(shape->shape());
}

bool AreZero(const Value& value, std::initializer_list<const char*> names) {
  return std::all_of(names.begin(), names.end(),
                     [&](const char* name) { return Attr(value, name).i() == 0; });
}

const tf::AttrValue& Attr(const Value& value, std::string_view name) {
  return value.node == nullptr ? tf::AttrValue::default_instance() : Attr(*value.node, name);
}

}  // namespace savedmodel::engine
