// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/match/match.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/gelu.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

const tf::NodeDef* ConstantNode(const Rewriter& graph, const tf::NodeDef& node, int input) {
  const tf::NodeDef* source = graph.Input(node, input);
  while (source != nullptr && source->op() == "Identity") source = graph.Input(*source, 0);
  return source != nullptr && (source->op() == "Const" || source->op() == kPooledConstantOp) ? source
                                                                                             : nullptr;
}

std::string FlatConstant(Rewriter* graph, const tf::NodeDef& constant, const std::string& name) {
  if (ConstantShape(constant).dims() == 1) return constant.name();
  const tf::Tensor* value = graph->Value(constant);
  tf::Tensor flat;
  if (value == nullptr || !flat.CopyFrom(*value, {value->NumElements()})) return constant.name();
  return graph->AddConstant(name, flat)->name();
}

tf::PartialTensorShape ConstantShape(const tf::NodeDef& constant) {
  if (constant.op() == kPooledConstantOp) return tf::PartialTensorShape(Attr(constant, "shape").shape());
  const tf::AttrValue* value = FindAttr(constant, "value");
  if (value == nullptr) return {};
  return tf::PartialTensorShape(value->tensor().tensor_shape());
}

bool IsRow(const tf::PartialTensorShape& shape, std::int64_t columns, int max_dims) {
  return shape.dims() >= 1 && shape.dims() <= max_dims && shape.dim_size(shape.dims() - 1) == columns &&
         shape.num_elements() == columns;
}

std::optional<double> ScalarValue(Rewriter* graph, const tf::NodeDef& node, int input) {
  const tf::NodeDef* source = ConstantNode(*graph, node, input);
  if (source == nullptr || graph->Type(*source, "dtype") != tf::DT_FLOAT) return {};
  const tf::PartialTensorShape shape = ConstantShape(*source);
  if (shape.num_elements() != 1) return {};
  if (shape.dims() > 0 && graph->Shape(node.input(1 - input)).dims() < shape.dims()) return {};
  const tf::Tensor* constant = graph->Constant(node, input);
  if (constant == nullptr) return {};
  return static_cast<double>(constant->flat<float>()(0));
}

bool IsClose(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); }

bool IsOneOf(const std::string& op, std::initializer_list<const char*> ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

bool IsListed(std::string_view ops, const std::string& op) {
  return ops.find(" " + op + " ") != std::string_view::npos;
}

bool IsPlain(const Rewriter& graph, const tf::NodeDef* node, const char* op) {
  return node != nullptr && node->op() == op && graph.Type(*node) == tf::DT_FLOAT && !HasControlInputs(*node);
}

bool IsSum(const Rewriter& graph, const tf::NodeDef* node) {
  return IsPlain(graph, node, "AddV2") || IsPlain(graph, node, "Add");
}

bool IsActivation(const Rewriter& graph, const tf::NodeDef* node, std::string* name, float* alpha) {
  if (node == nullptr || HasControlInputs(*node)) return false;
  if (node->op() == kGeluOp) {
    *name = Attr(*node, "approximate").b() ? "GeluApproximate" : "GeluExact";
    return true;
  }
  if (!IsOneOf(node->op(), {"Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid"})) return false;
  if (graph.Type(*node) != tf::DT_FLOAT) return false;
  *name = node->op();
  const tf::AttrValue* given = FindAttr(*node, "alpha");
  if (node->op() == "LeakyRelu" && given != nullptr) *alpha = given->f();
  return true;
}

bool HasAny(const Rewriter& graph, std::initializer_list<const char*> ops) {
  const std::vector<tf::NodeDef*> nodes = graph.nodes();
  return std::any_of(nodes.begin(), nodes.end(), [&](tf::NodeDef* node) { return IsOneOf(node->op(), ops); });
}

int CountReplaced(Rewriter* graph, std::initializer_list<const char*> ops,
                  const std::function<bool(tf::NodeDef*)>& replace) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (IsOneOf(node->op(), ops) && replace(node)) ++count;
  }
  return count;
}

}  // namespace savedmodel::engine
