// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/attributes.h"

#include "tensorflow/core/framework/op.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

const tf::OpDef* FindOp(const std::string& op) {
  const tf::OpDef* found = nullptr;
  return tf::OpRegistry::Global()->LookUpOpDef(op, &found).ok() ? found : nullptr;
}

const tf::AttrValue* FindAttr(const tf::NodeDef& node, std::string_view name) {
  const auto found = node.attr().find(name);
  return found == node.attr().end() ? nullptr : &found->second;
}

const tf::AttrValue& Attr(const tf::NodeDef& node, std::string_view name) {
  const tf::AttrValue* found = FindAttr(node, name);
  return found == nullptr ? tf::AttrValue::default_instance() : *found;
}

void CopyAttrs(const tf::NodeDef& from, std::initializer_list<const char*> names, tf::NodeDef* to,
               const std::string& prefix) {
  for (const char* name : names) {
    if (const tf::AttrValue* value = FindAttr(from, name); value != nullptr) {
      (*to->mutable_attr())[prefix + name] = *value;
    }
  }
}

bool IsChannelsLast(const tf::NodeDef& node) {
  const std::string& format = Attr(node, "data_format").s();
  return format.empty() || format == "NHWC" || format == "NDHWC";
}

std::optional<tf::Tensor> ConstValue(const tf::NodeDef& node) {
  const tf::AttrValue* value = node.op() == "Const" ? FindAttr(node, "value") : nullptr;
  tf::Tensor tensor;
  const bool valid = value != nullptr && tf::TensorShape::IsValid(value->tensor().tensor_shape()) &&
                     tensor.FromProto(value->tensor());
  return valid ? std::make_optional(std::move(tensor)) : std::nullopt;
}

void BecomeConst(const tf::Tensor& value, tf::NodeDef* node) {
  node->set_op("Const");
  node->clear_input();
  node->clear_attr();
  (*node->mutable_attr())["dtype"].set_type(value.dtype());
  value.AsProtoField((*node->mutable_attr())["value"].mutable_tensor());
}

void BecomePlaceholder(tf::DataType dtype, const tf::TensorShapeProto* shape, tf::NodeDef* node) {
  tf::AttrValue any;
  any.mutable_shape()->set_unknown_rank(true);
  if (shape != nullptr) *any.mutable_shape() = *shape;
  node->set_op("Placeholder");
  node->clear_input();
  node->clear_attr();
  (*node->mutable_attr())["dtype"].set_type(dtype);
  (*node->mutable_attr())["shape"] = std::move(any);
}

std::optional<std::vector<std::int64_t>> Integers(const tf::Tensor* value) {
  if (value == nullptr) return {};
  const auto elements = [](const auto& flat) {
    return std::vector<std::int64_t>(flat.data(), flat.data() + flat.size());
  };
  if (value->dtype() == tf::DT_INT32) return elements(value->flat<std::int32_t>());
  if (value->dtype() == tf::DT_INT64) return elements(value->flat<std::int64_t>());
  return {};
}

}  // namespace savedmodel::engine
