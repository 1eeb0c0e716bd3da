// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/match.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/gelu.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

void Multiply(Rewriter* graph, const std::string& tensor, bool root, Product* product) {
  const TensorRef id(tensor);
  const tf::NodeDef* node = graph->Find(id.node);
  const bool inner = node != nullptr && id.index == 0 && (root || graph->OnlyReader(*node) != nullptr);
  double value = 0;
  if (inner && IsPlain(*graph, node, "Mul")) {
    product->nodes.push_back(node);
    for (int i = 0; i < 2; ++i) {
      if (ScalarValue(graph, *node, i, &value)) {
        product->scale *= value;
      } else {
        Multiply(graph, node->input(i), false, product);
      }
    }
  } else if (inner && IsPlain(*graph, node, "Neg")) {
    product->nodes.push_back(node);
    product->scale = -product->scale;
    Multiply(graph, node->input(0), false, product);
  } else if (inner && IsPlain(*graph, node, "RealDiv") && ScalarValue(graph, *node, 1, &value) &&
             value != 0) {
    product->nodes.push_back(node);
    product->scale /= value;
    Multiply(graph, node->input(0), false, product);
  } else {
    product->tensors.push_back(tensor);
  }
}

}  // namespace

const tf::NodeDef* ConstantNode(const Rewriter& graph, const tf::NodeDef& node, int input) {
  const tf::NodeDef* source = graph.Input(node, input);
  while (source != nullptr && source->op() == "Identity") source = graph.Input(*source, 0);
  return source != nullptr && (source->op() == "Const" || source->op() == kPooledConstantOp) ? source
                                                                                             : nullptr;
}

const tf::NodeDef* FloatConstant(const Rewriter& graph, const tf::NodeDef& node, int input) {
  const tf::NodeDef* constant = ConstantNode(graph, node, input);
  return constant != nullptr && graph.Type(*constant, "dtype") == tf::DT_FLOAT ? constant : nullptr;
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

std::string ZeroBias(Rewriter* graph, const std::string& node, std::int64_t columns) {
  tf::Tensor zeros(tf::DT_FLOAT, {columns});
  zeros.flat<float>().setZero();
  return graph->AddConstant(node + "/no_bias", zeros)->name();
}

bool IsRow(const tf::PartialTensorShape& shape, std::int64_t columns, int most_dims) {
  return shape.dims() >= 1 && shape.dims() <= most_dims && shape.dim_size(shape.dims() - 1) == columns &&
         shape.num_elements() == columns;
}

bool Product::Take(const std::string& tensor) {
  const auto found = std::find(tensors.begin(), tensors.end(), tensor);
  if (found == tensors.end()) return false;
  tensors.erase(found);
  return true;
}

Product Factors(Rewriter* graph, const std::string& tensor) {
  Product product;
  Multiply(graph, tensor, true, &product);
  return product;
}

bool ScalarValue(Rewriter* graph, const tf::NodeDef& node, int input, double* value) {
  const tf::NodeDef* source = FloatConstant(*graph, node, input);
  if (source == nullptr) return false;
  const tf::PartialTensorShape shape = ConstantShape(*source);
  if (shape.num_elements() != 1) return false;
  if (shape.dims() > 0 && graph->Shape(node.input(1 - input)).dims() < shape.dims()) return false;
  const tf::Tensor* constant = graph->Constant(node, input);
  if (constant == nullptr) return false;
  *value = static_cast<double>(constant->flat<float>()(0));
  return true;
}

bool IsClose(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); }

int ScalarInput(Rewriter* graph, const tf::NodeDef& node, double value) {
  double found = 0;
  for (int i = 0; i < 2; ++i) {
    if (ScalarValue(graph, node, i, &found) && IsClose(found, value)) return i;
  }
  return -1;
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
  for (const char* op : {"Relu", "Relu6", "LeakyRelu", "Elu", "Tanh", "Sigmoid"}) {
    if (!IsPlain(graph, node, op)) continue;
    *name = op;
    const tf::AttrValue* given = FindAttr(*node, "alpha");
    if (node->op() == "LeakyRelu" && given != nullptr) *alpha = given->f();
    return true;
  }
  return false;
}

}  // namespace savedmodel::engine
