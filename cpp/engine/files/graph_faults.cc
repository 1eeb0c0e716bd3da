// SPDX-License-Identifier: Apache-2.0
#include "engine/files/graph_faults.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/attr_value_util.h"
#include "tensorflow/core/framework/full_type.pb.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

GraphLimits::GraphLimits()
    : dimensions(tf::TensorShape::MaxDimensions()),
      bytes(static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE))) {}

std::string FaultOfDataType(int type) {
  if (!tf::DataType_IsValid(type)) {
    return "the data type " + std::to_string(type) + ", which TensorFlow does not have";
  }
  return "";
}

std::string FaultOfShape(const tf::TensorShapeProto& shape, const GraphLimits& limits) {
  if (shape.dim_size() >= limits.dimensions) {
    return "a tensor of " + std::to_string(shape.dim_size()) + " dimensions, more than TensorFlow can have";
  }
  std::int64_t elements = 1;
  for (const auto& dim : shape.dim()) {
    if (dim.size() <= 0) continue;
    if (__builtin_mul_overflow(elements, dim.size(), &elements) || elements > limits.elements) {
      return "a shape with more elements than fit in memory";
    }
  }
  return "";
}

std::string FaultOfTensor(const tf::TensorProto& tensor, const GraphLimits& limits) {
  std::string fault = FaultOfDataType(tensor.dtype());
  if (fault.empty()) fault = FaultOfShape(tensor.tensor_shape(), limits);
  if (!fault.empty()) return fault;
  double bytes = std::max(tf::DataTypeSize(tf::BaseType(tensor.dtype())), 1);
  for (const auto& dim : tensor.tensor_shape().dim()) bytes *= static_cast<double>(dim.size());
  if (bytes <= limits.bytes) return "";
  return "a tensor of " + std::to_string(static_cast<std::int64_t>(bytes / 1e9)) +
         " GB, more than the machine's memory";
}

namespace {

std::string FaultOfShapes(const tf::AttrValue& value, const GraphLimits& limits) {
  std::string fault = FaultOfShape(value.shape(), limits);
  for (const auto& one : value.list().shape()) {
    if (fault.empty()) fault = FaultOfShape(one, limits);
  }
  return fault;
}

}  // namespace

std::string FaultOfValue(const tf::AttrValue& value, const GraphLimits& limits) {
  std::string fault;
  const auto look = [&](std::string found) {
    if (fault.empty()) fault = std::move(found);
  };
  const auto type = [&](int one) {
    if (one == tf::DT_INVALID) return;  // not known
    look(FaultOfDataType(one));
    if (one > tf::kDataTypeRefOffset) look("a reference type, which an attribute can't have");
  };
  if (value.value_case() == tf::AttrValue::kType) type(value.type());
  if (value.has_tensor()) look(FaultOfTensor(value.tensor(), limits));
  look(FaultOfShapes(value, limits));
  for (const int one : value.list().type()) type(one);
  for (const auto& one : value.list().tensor()) look(FaultOfTensor(one, limits));
  return fault;
}

std::string FaultOfValues(const tf::NodeDef& node, const GraphLimits& limits) {
  for (const auto& [name, value] : node.attr()) {
    // Annotations may be ignored, but TensorFlow's optimizer trusts their shapes.
    const bool note = !name.empty() && name[0] == '_';
    const std::string fault = note ? FaultOfShapes(value, limits) : FaultOfValue(value, limits);
    if (!fault.empty()) return "its attribute '" + name + "' has " + fault;
  }
  if (node.op() != "Const") return "";
  const tf::AttrValue *dtype = FindAttr(node, "dtype"), *value = FindAttr(node, "value");
  if (dtype == nullptr || value == nullptr || !value->has_tensor() ||
      value->tensor().dtype() == dtype->type()) {
    return "";
  }
  return "its value has the type " + tf::DataTypeString(value->tensor().dtype()) +
         ", but its attribute 'dtype' is " + tf::DataTypeString(dtype->type());
}

// TensorFlow reads the type of each output from it without checking their number.
std::string FaultOfFullType(const tf::NodeDef& node, const tf::OpDef* op) {
  const tf::FullTypeDef& type = node.experimental_type();
  if (type.type_id() == tf::TFT_UNSET) return "";
  tf::DataTypeVector outputs;
  const bool known = op != nullptr && tf::OutputTypesForNode(node, *op, &outputs).ok();
  const auto types = static_cast<std::size_t>(type.args_size());
  if (type.type_id() == tf::TFT_PRODUCT && (!known || types >= outputs.size())) return "";
  return "its full type does not have a type for each of its outputs";
}

namespace {

// TensorFlow checks these too late: its oneDNN pass runs earlier and aborts.
std::string FaultOfAttribute(const tf::OpDef::AttrDef& attribute, const tf::NodeDef& node) {
  const tf::AttrValue* given = FindAttr(node, attribute.name());
  if (given == nullptr) return attribute.has_default_value() ? "" : "is missing";
  const tf::AttrValue& value = *given;
  // In a function body the value may be one of the function's own attributes.
  if (value.value_case() == tf::AttrValue::kPlaceholder) return "";
  if (!tf::AttrValueHasType(value, attribute.type()).ok())
    return "is not of the type '" + attribute.type() + "'";
  const auto& allowed = attribute.allowed_values().list().s();
  const bool chooses = attribute.type() == "string" && attribute.has_allowed_values();
  if (chooses && std::find(allowed.begin(), allowed.end(), value.s()) == allowed.end())
    return "has a value that " + node.op() + " does not allow";
  return "";
}

}  // namespace

std::string FaultOfAttributes(const tf::NodeDef& node, const tf::OpDef* op) {
  if (op == nullptr) return "";
  for (const auto& attribute : op->attr()) {
    const std::string fault = FaultOfAttribute(attribute, node);
    if (!fault.empty()) return "its attribute '" + attribute.name() + "' " + fault;
  }
  // Check this before a list of that length is allocated.
  for (const auto& argument : op->input_arg()) {
    const std::int64_t number = Attr(node, argument.number_attr()).i();
    if (!argument.number_attr().empty() && number > node.input_size())
      return "it has " + std::to_string(node.input_size()) + " inputs, but its attribute '" +
             argument.number_attr() + "' is " + std::to_string(number);
  }
  return "";
}

// TensorFlow skips its own check for graphs of old versions. (It always counts the inputs in function
// bodies.)
std::string FaultOfInputs(const tf::NodeDef& node, const tf::OpDef* op) {
  if (op == nullptr) return "";
  tf::DataTypeVector types;
  if (!tf::InputTypesForNode(node, *op, &types).ok()) {
    tf::NodeDef complete = node;  // attributes with their default may be missing
    tf::AddDefaultsToNodeDef(*op, &complete);
    types.clear();
    if (!tf::InputTypesForNode(complete, *op, &types).ok()) return "";
  }
  const int given = CountDataInputs(node);
  if (static_cast<std::size_t>(given) == types.size()) return "";
  return "it has " + std::to_string(given) + " inputs, and " + node.op() + " takes " +
         std::to_string(types.size());
}

// TensorFlow does not compare the number of a call's tensors with the function's either.
std::string FaultOfCall(const tf::NodeDef& node, const tf::OpDef& function) {
  const auto differ = [&](const auto& arguments, const char* list) {
    const tf::AttrValue* types = FindAttr(node, FindAttr(node, "T") != nullptr ? "T" : list);
    const bool single = std::all_of(arguments.begin(), arguments.end(), [](const auto& one) {
      return one.number_attr().empty() && one.type_list_attr().empty();
    });
    return types != nullptr && single && types->list().type_size() != arguments.size();
  };
  if (differ(function.input_arg(), "Tin"))
    return "its inputs do not match those of the function '" + function.name() + "'";
  const bool decides = Attr(node, "cond").func().name() == function.name();  // a loop's: returns a boolean
  if (!decides && differ(function.output_arg(), "Tout"))
    return "its outputs do not match those of the function '" + function.name() + "'";
  return "";
}

bool IsOneNumber(const tf::TensorShapeProto& shape) {
  return std::all_of(shape.dim().begin(), shape.dim().end(), [](const auto& dim) { return dim.size() == 1; });
}

CalledNodes::CalledNodes(const tf::FunctionDefLibrary& library) {
  for (const tf::FunctionDef& function : library.function()) {
    functions_.emplace(function.signature().name(), Function{&function});
  }
}

double CalledNodes::Count(const tf::NodeDef& node) {
  double count = 1;
  if (functions_.count(node.op()) > 0) count += CountFunction(node.op());
  for (const std::string& name : CalledFunctions(node)) count += CountFunction(name);
  return count;
}

double CalledNodes::CountFunction(const std::string& name) {
  const auto found = functions_.find(name);
  if (found == functions_.end()) return 0;
  Function& function = found->second;
  if (function.done) return function.nodes;
  if (function.entered || depth_ > 1000) return std::numeric_limits<double>::infinity();
  function.entered = true;
  ++depth_;
  for (const tf::NodeDef& node : function.definition->node_def()) function.nodes += Count(node);
  --depth_;
  function.done = true;
  return function.nodes;
}

// TensorFlow looks up the functions of branches and loops without checking that they exist.
std::string CalledNodes::Fault(const tf::NodeDef& node) const {
  if (CalleeAttributes(node).empty()) return "";
  for (const std::string& name : CalledFunctions(node)) {
    const auto found = functions_.find(name);
    if (found == functions_.end() && IsCall(node)) continue;  // TensorFlow reports this one
    if (found == functions_.end()) return "it calls the function '" + name + "', which does not exist";
    std::string fault = FaultOfCall(node, found->second.definition->signature());
    if (!fault.empty()) return fault;
  }
  return "";
}

}  // namespace savedmodel::engine
