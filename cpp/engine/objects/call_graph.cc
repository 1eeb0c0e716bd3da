// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/call_graph.h"

#include <utility>

#include "engine/base/quote.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/placement.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def_builder.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

tf::NodeDef Placeholder(const std::string& name, const TensorSpec& spec) {
  tf::NodeDef node;
  node.set_name(name);
  tf::TensorShapeProto shape;
  if (spec.shape) {
    for (const std::int64_t size : *spec.shape) shape.add_dim()->set_size(size);
  }
  BecomePlaceholder(static_cast<tf::DataType>(spec.dtype), spec.shape ? &shape : nullptr, &node);
  return node;
}

tf::NodeDef ReadPath(const std::string& name, const std::string& variable) {
  tf::NodeDef node;
  node.set_name(name);
  node.set_op("ReadVariableOp");
  node.add_input(variable);
  (*node.mutable_attr())["dtype"].set_type(tf::DT_STRING);
  return node;
}

// Visits each dense tensor of the specs, in order.
template <typename Visit>
void ForEachDense(std::vector<TensorSpec>* specs, const Visit& visit) {
  for (TensorSpec& spec : *specs) {
    if (spec.encoding == Encoding::kDense) visit(&spec);
    for (TensorSpec& part : spec.components) visit(&part);
  }
}

[[noreturn]] void ThrowMismatch(const std::string& function) {
  throw Error(Code::kInvalidArgument,
              "function " + Quote(function) + " does not match its description in the object graph");
}

class CallMaker {
 public:
  CallMaker(const tf::GraphDef& graph, const tf::SavedObjectGraph& objects,
            const std::map<int, std::string>& tensors, const ConcreteFunction& function,
            const std::string& prefix)
      : graph_(graph),
        functions_(graph.library()),
        objects_(objects),
        tensors_(tensors),
        name_(function.name),
        prefix_(prefix) {
    made_.inputs = function.inputs;
    made_.outputs = function.outputs;
    made_.call = prefix + "call";
  }

  FunctionCall Make() {
    const tf::FunctionDef* function = functions_.Find(name_);
    if (function == nullptr) throw Error(Code::kNotFound, "the graph has no function " + Quote(name_));
    const tf::OpDef& signature = function->signature();
    const auto concrete = objects_.concrete_functions().find(name_);
    if (concrete == objects_.concrete_functions().end()) ThrowMismatch(name_);
    call_.set_name(made_.call);
    call_.set_op(signature.is_stateful() ? "StatefulPartitionedCall" : "PartitionedCall");
    (*call_.mutable_attr())["f"].mutable_func()->set_name(name_);
    (*call_.mutable_attr())["Tin"].mutable_list();
    ForEachDense(&made_.inputs, [&](TensorSpec* spec) {
      const std::string name = prefix_ + "input_" + std::to_string(call_.input_size());
      spec->name = name + ":0";
      made_.nodes.push_back(Placeholder(name, *spec));
      AddInput(name, static_cast<tf::DataType>(spec->dtype));
    });
    for (const int object : concrete->second.bound_inputs()) AddCapture(object);
    CheckTypes(signature.input_arg(), call_.attr().at("Tin").list());
    auto* results = (*call_.mutable_attr())["Tout"].mutable_list();
    ForEachDense(&made_.outputs, [&](TensorSpec* spec) {
      spec->name = made_.call + ":" + std::to_string(results->type_size());
      results->add_type(static_cast<tf::DataType>(spec->dtype));
    });
    CheckTypes(signature.output_arg(), *results);
    made_.nodes.push_back(std::move(call_));
    return std::move(made_);
  }

 private:
  void AddInput(const std::string& tensor, tf::DataType dtype) {
    call_.add_input(tensor);
    (*call_.mutable_attr())["Tin"].mutable_list()->add_type(dtype);
  }

  void AddCapture(int object) {
    const auto tensor = tensors_.find(object);
    const bool known = object >= 0 && object < objects_.nodes_size() && tensor != tensors_.end();
    const tf::NodeDef* node = known ? graph_.Source(tensor->second) : nullptr;
    if (node == nullptr) {
      throw Error(Code::kUnimplemented, "function " + Quote(name_) + " uses the object number " +
                                            std::to_string(object) +
                                            ", which is not a variable, table, constant or asset of the "
                                            "graph");
    }
    made_.captures.push_back(tensor->second);
    if (objects_.nodes(object).has_asset()) {
      const std::string name = prefix_ + "asset_" + std::to_string(call_.input_size());
      made_.nodes.push_back(ReadPath(name, tensor->second));
      return AddInput(name, tf::DT_STRING);
    }
    const tf::AttrValue* dtype = FindAttr(*node, "dtype");
    const bool constant = objects_.nodes(object).has_constant() && dtype != nullptr;
    AddInput(tensor->second, constant ? dtype->type() : tf::DT_RESOURCE);
  }

  template <typename Args>
  void CheckTypes(const Args& args, const tf::AttrValue::ListValue& types) const {
    if (args.size() != types.type_size()) ThrowMismatch(name_);
    for (int i = 0; i < args.size(); ++i) {
      if (args[i].type() != types.type(i)) ThrowMismatch(name_);
    }
  }

  const GraphView graph_;
  const FunctionIndex functions_;
  const tf::SavedObjectGraph& objects_;
  const std::map<int, std::string>& tensors_;
  const std::string name_;
  const std::string prefix_;
  tf::NodeDef call_;
  FunctionCall made_;
};

}  // namespace

FunctionCall MakeFunctionCall(const tf::GraphDef& graph, const tf::SavedObjectGraph& objects,
                              const std::map<int, std::string>& tensors, const ConcreteFunction& function,
                              const std::string& prefix) {
  return CallMaker(graph, objects, tensors, function, prefix).Make();
}

std::shared_ptr<CallGraph> MakeCallGraph(const tf::GraphDef& graph, const FunctionCall& call,
                                         const std::string& device) {
  tf::GraphDef extension;
  *extension.mutable_versions() = graph.versions();
  for (const tf::NodeDef& node : call.nodes) *extension.add_node() = node;
  if (!device.empty()) AssignDevice(device, &extension);
  tf::GraphDef whole = extension;
  GraphView(graph).Walk(call.captures, [&](const tf::NodeDef& node) { *whole.add_node() = node; });
  CopyNeededFunctions(graph.library(), &whole);
  auto made = std::make_shared<CallGraph>(std::move(whole));
  made->extension = std::move(extension);
  made->name = call.call;
  return made;
}

}  // namespace savedmodel::engine
