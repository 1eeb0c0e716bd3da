// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/constants.h"

#include <cstring>

#include "engine/graph/attributes.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kNumber[] = "_savedmodel_number";

REGISTER_OP("_SavedmodelConstant")
    .Output("output: dtype")
    .Attr("dtype: type")
    .Attr("shape: shape")
    .SetShapeFn(tf::shape_inference::ExplicitShape)
    .Doc("A constant whose value is kept beside the graph.");

}  // namespace

bool ConstantPool::Takes(const tf::Tensor& value) {
  return value.TotalBytes() >= kLarge && tf::DataTypeCanUseMemcpy(value.dtype());
}

void ConstantPool::Add(const tf::Tensor& value, tf::NodeDef* node) {
  node->set_op(kPooledConstantOp);
  auto& attr = *node->mutable_attr();
  attr["dtype"].set_type(value.dtype());
  value.shape().AsProto(attr["shape"].mutable_shape());
  SetNumber(static_cast<std::int64_t>(values_.size()), node);
  Append(value);
}

void ConstantPool::SetNumber(std::int64_t number, tf::NodeDef* node) {
  (*node->mutable_attr())[kNumber].set_i(number);
}

const tf::Tensor* ConstantPool::Find(const tf::NodeDef& node) const {
  const tf::AttrValue* number = FindAttr(node, kNumber);
  return number == nullptr ? nullptr : &values_.at(static_cast<std::size_t>(number->i()));
}

const tf::Tensor& ConstantPool::Same(const tf::Tensor& constant) const {
  for (const tf::Tensor& value : remembered_) {
    if (value.dtype() == constant.dtype() && value.shape() == constant.shape() &&
        std::memcmp(value.data(), constant.data(), constant.TotalBytes()) == 0) {
      return value;
    }
  }
  return constant;
}

void ConstantPool::AsConst(tf::GraphDef* graph) {
  for (tf::NodeDef& node : *graph->mutable_node()) {
    if (node.op() != kPooledConstantOp) continue;
    node.set_op("Const");
    auto& attr = *node.mutable_attr();
    tf::TensorProto* value = attr["value"].mutable_tensor();
    value->set_dtype(attr["dtype"].type());
    *value->mutable_tensor_shape() = attr["shape"].shape();
    attr.erase("shape");
  }
}

}  // namespace savedmodel::engine
