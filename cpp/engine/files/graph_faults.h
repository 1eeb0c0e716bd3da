// SPDX-License-Identifier: Apache-2.0
// Describes faults in parts of a graph that would make TensorFlow end the process; "" if there is none.
// `CheckGraph` checks a whole graph.
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

// Tests set them so low that a valid graph reaches them.
struct GraphLimits {
  GraphLimits();
  int dimensions;  // a tensor has fewer than this
  // More than any machine has bytes, because a size in bytes that TensorFlow computes might overflow.
  std::int64_t elements = std::int64_t{1} << 48;
  double bytes;  // of a constant: the machine's memory
  // Inlining gives a graph the nodes of all its functions, each as often as it is called. The largest real
  // graphs have some hundred thousand nodes.
  double nodes = 1e8;
};

std::string FaultOfDataType(int type);
std::string FaultOfShape(const tensorflow::TensorShapeProto& shape, const GraphLimits& limits);
std::string FaultOfTensor(const tensorflow::TensorProto& tensor, const GraphLimits& limits);
std::string FaultOfValue(const tensorflow::AttrValue& value, const GraphLimits& limits);

// A fault in the values of a node's attributes.
std::string FaultOfValues(const tensorflow::NodeDef& node, const GraphLimits& limits);
// `op`: null for a function, and for an unknown op.
std::string FaultOfFullType(const tensorflow::NodeDef& node, const tensorflow::OpDef* op);
std::string FaultOfAttributes(const tensorflow::NodeDef& node, const tensorflow::OpDef* op);
std::string FaultOfInputs(const tensorflow::NodeDef& node, const tensorflow::OpDef* op);
// A fault of a call, loop or branch with regard to a function that it calls.
std::string FaultOfCall(const tensorflow::NodeDef& node, const tensorflow::OpDef& function);
// True if the shape is one number, as the graph optimizer assumes of the constant axis of a concatenation.
bool IsOneNumber(const tensorflow::TensorShapeProto& shape);

// Follows calls through a library, which must outlive this.
class CalledNodes {
 public:
  explicit CalledNodes(const tensorflow::FunctionDefLibrary& library);
  // The number of nodes after inlining everything that a node calls; infinite for a function that calls
  // itself.
  double Count(const tensorflow::NodeDef& node);
  // The missing or mismatched function of a call, loop or branch.
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
