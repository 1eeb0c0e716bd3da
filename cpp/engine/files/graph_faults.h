// SPDX-License-Identifier: Apache-2.0
// What is wrong with parts of a graph that TensorFlow would end the process on: as text, or "". `CheckGraph`
// looks at all of a graph.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/framework/tensor_shape.pb.h"

namespace savedmodel::engine {

// Tests make them so small that a sound graph reaches them.
struct GraphLimits {
  GraphLimits();
  int dimensions;  // a tensor has fewer
  // More than any machine has bytes: a size in bytes that TensorFlow computes from it might overflow.
  std::int64_t elements = std::int64_t{1} << 48;
  double bytes;  // of a constant: the machine's memory
  // A graph that is inlined, as all are, has as many nodes as its functions have together, each as often as
  // it is called. The largest real ones have some hundred thousand.
  double nodes = 1e8;
};

std::string FaultOfDataType(int type);
std::string FaultOfShape(const tensorflow::TensorShapeProto& shape, const GraphLimits& limits);
std::string FaultOfTensor(const tensorflow::TensorProto& tensor, const GraphLimits& limits);
std::string FaultOfValue(const tensorflow::AttrValue& value, const GraphLimits& limits);

// Of the values of a node's attributes.
std::string FaultOfValues(const tensorflow::NodeDef& node, const GraphLimits& limits);
// `op`: null for a function, and for an op that nobody knows.
std::string FaultOfFullType(const tensorflow::NodeDef& node, const tensorflow::OpDef* op);
std::string FaultOfAttributes(const tensorflow::NodeDef& node, const tensorflow::OpDef* op);
std::string FaultOfInputs(const tensorflow::NodeDef& node, const tensorflow::OpDef* op);
// Of a call, loop or branch, for a function that it calls.
std::string FaultOfCall(const tensorflow::NodeDef& node, const tensorflow::OpDef& function);
// What the graph optimizer takes the constant axis of a concatenation for.
bool IsOneNumber(const tensorflow::TensorShapeProto& shape);

// Calls, followed through a library, which outlives this.
class CalledNodes {
 public:
  explicit CalledNodes(const tensorflow::FunctionDefLibrary& library);
  // How many nodes a node is when all that it calls is inlined; infinite for a function that calls itself.
  double Count(const tensorflow::NodeDef& node);
  // Of a call, loop or branch: what of its functions is missing, or does not fit it.
  std::string Fault(const tensorflow::NodeDef& node) const;

 private:
  struct Function {
    const tensorflow::FunctionDef* definition;
    double nodes = 0;
    bool done = false;
    bool entered = false;
  };
  double CountFunction(const std::string& name);

  std::unordered_map<std::string, Function> functions_;
  int depth_ = 0;
};

}  // namespace savedmodel::engine
