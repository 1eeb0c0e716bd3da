// SPDX-License-Identifier: Apache-2.0
// Matching helpers: constants, factors, sums and activations.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

// The Const behind a data input, through Identity nodes; null if there is none. Its value is not decoded.
const tensorflow::NodeDef* ConstantNode(const Rewriter& graph, const tensorflow::NodeDef& node, int input);
const tensorflow::NodeDef* FloatConstant(const Rewriter& graph, const tensorflow::NodeDef& node, int input);
// The name of a constant of the same values and one dimension.
std::string FlatConstant(Rewriter* graph, const tensorflow::NodeDef& constant, const std::string& name);
tensorflow::PartialTensorShape ConstantShape(const tensorflow::NodeDef& constant);
// The name of a new constant of `columns` zeros, the bias of a node that has none.
std::string ZeroBias(Rewriter* graph, const std::string& node, std::int64_t columns);
// Only the last dimension is not 1: what broadcasting adds to, or multiplies with, each row.
bool IsRow(const tensorflow::PartialTensorShape& shape, std::int64_t columns, int most_dims);

// scale * the product of `tensors`.
struct Product {
  double scale = 1;
  std::vector<std::string> tensors;
  std::vector<const tensorflow::NodeDef*> nodes;  // Mul, Neg and RealDiv that make it

  // Takes one away; false if it is not there.
  bool Take(const std::string& tensor);
};

// Follows Mul, Neg and division by a constant as long as a node has one reader. The nodes are float32.
Product Factors(Rewriter* graph, const std::string& tensor);
// A float32 constant of no dimension, or of one element and few enough dimensions to change no shape.
bool ScalarValue(Rewriter* graph, const tensorflow::NodeDef& node, int input, double* value);
bool IsClose(double a, double b);
// AddV2, Add or BiasAdd's relatives: which input is the scalar `value`, or -1.
int ScalarInput(Rewriter* graph, const tensorflow::NodeDef& node, double value);
// A float32 node of this op that no control edge leads to.
bool IsPlain(const Rewriter& graph, const tensorflow::NodeDef* node, const char* op);
bool IsSum(const Rewriter& graph, const tensorflow::NodeDef* node);
// False for null. `name` is what _SavedmodelDense calls it; `alpha` is LeakyRelu's.
bool IsActivation(const Rewriter& graph, const tensorflow::NodeDef* node, std::string* name, float* alpha);

}  // namespace savedmodel::engine
