// SPDX-License-Identifier: Apache-2.0
// Matching helpers: constants, sums and activations; the loop of a pass.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

// The Const behind a data input, through Identity nodes; null if there is none. Its value is not decoded.
const tensorflow::NodeDef* ConstantNode(const Rewriter& graph, const tensorflow::NodeDef& node, int input);
// The name of a constant of the same values and one dimension.
std::string FlatConstant(Rewriter* graph, const tensorflow::NodeDef& constant, const std::string& name);
tensorflow::PartialTensorShape ConstantShape(const tensorflow::NodeDef& constant);
// Only the last dimension is not 1: what broadcasting adds to, or multiplies with, each row.
bool IsRow(const tensorflow::PartialTensorShape& shape, std::int64_t columns, int max_dims);

// A float32 constant of no dimension, or of one element and few enough dimensions to change no shape.
std::optional<double> ScalarValue(Rewriter* graph, const tensorflow::NodeDef& node, int input);
bool IsClose(double a, double b);
bool IsOneOf(const std::string& op, std::initializer_list<const char*> ops);
bool IsListed(std::string_view ops, const std::string& op);  // each between spaces
// A float32 node of this op that no control edge leads to.
bool IsPlain(const Rewriter& graph, const tensorflow::NodeDef* node, const char* op);
bool IsSum(const Rewriter& graph, const tensorflow::NodeDef* node);
// False for null. `name` is what _SavedmodelDense calls it; `alpha` is LeakyRelu's.
bool IsActivation(const Rewriter& graph, const tensorflow::NodeDef* node, std::string* name, float* alpha);

// True if a node is of one of these ops: without it a pass need not make its patterns.
bool HasAny(const Rewriter& graph, std::initializer_list<const char*> ops);
// Calls `replace` with each node of these ops that is there when its turn comes; returns how often it was
// true.
int CountReplaced(Rewriter* graph, std::initializer_list<const char*> ops,
                  const std::function<bool(tensorflow::NodeDef* node)>& replace);

}  // namespace savedmodel::engine
