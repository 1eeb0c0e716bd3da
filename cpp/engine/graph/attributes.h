// SPDX-License-Identifier: Apache-2.0
// Attributes of nodes, also of nodes that lack them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

// Null if TensorFlow knows no such op: it may be a function.
const tensorflow::OpDef* FindOp(const std::string& op);
// Null if the node has no such attribute.
const tensorflow::AttrValue* FindAttr(const tensorflow::NodeDef& node, std::string_view name);
// An empty value if the node has no such attribute: 0, false, "", DT_INVALID, an empty list.
const tensorflow::AttrValue& Attr(const tensorflow::NodeDef& node, std::string_view name);
// Those of `names` that `from` has; `prefix` is put before their names.
void CopyAttrs(const tensorflow::NodeDef& from, std::initializer_list<const char*> names,
               tensorflow::NodeDef* to, const std::string& prefix = "");
// `data_format`; also true of a node without it.
bool IsChannelsLast(const tensorflow::NodeDef& node);
// The value of a Const node; none of other nodes, or if it is damaged.
std::optional<tensorflow::Tensor> ConstValue(const tensorflow::NodeDef& node);
// Makes a node a Const of this value, or a Placeholder (null: of any rank). Its name stays.
void BecomeConst(const tensorflow::Tensor& value, tensorflow::NodeDef* node);
void BecomePlaceholder(tensorflow::DataType dtype, const tensorflow::TensorShapeProto* shape,
                       tensorflow::NodeDef* node);
// The elements of an int32 or int64 tensor, such as axes; none of other tensors, or if it is null.
std::optional<std::vector<std::int64_t>> Integers(const tensorflow::Tensor* value);

}  // namespace savedmodel::engine
