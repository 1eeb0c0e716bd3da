// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/freeze.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/rewriter.h"
#include "engine/graph/variable_use.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kSuffix[] = "_savedmodel_frozen";

// Turns a read of a handle into the same read of a value; all inputs except the first stay. `axis` is the
// name of a scalar int32 zero, for a gather.
bool ReadOfValue(tf::NodeDef* node, const std::string& axis, tf::DataType dtype) {
  if (node->op() == "ReadVariableOp") {
    node->set_op("Identity");
    node->clear_attr();
    (*node->mutable_attr())["T"].set_type(dtype);
    return true;
  }
  if (node->op() == "VariableShape") {
    const tf::AttrValue* out_type = FindAttr(*node, "out_type");
    const tf::DataType out = out_type == nullptr ? tf::DT_INT32 : out_type->type();
    node->set_op("Shape");
    node->clear_attr();
    (*node->mutable_attr())["T"].set_type(dtype);
    (*node->mutable_attr())["out_type"].set_type(out);
    return true;
  }
  if (node->op() != "ResourceGather" && node->op() != "ResourceGatherNd") return false;
  const tf::DataType indices = Attr(*node, "Tindices").type();
  if (node->op() == "ResourceGatherNd") {
    node->set_op("GatherNd");
    node->clear_attr();
  } else {
    if (Attr(*node, "batch_dims").i() != 0) return false;  // it gathers along another axis
    node->set_op("GatherV2");
    node->clear_attr();
    std::vector<std::string> inputs(node->input().begin(), node->input().end());
    inputs.insert(inputs.begin() + 2, axis);
    node->clear_input();
    for (const std::string& input : inputs) node->add_input(input);
    (*node->mutable_attr())["Taxis"].set_type(tf::DT_INT32);
  }
  (*node->mutable_attr())["Tparams"].set_type(dtype);
  (*node->mutable_attr())["Tindices"].set_type(indices);
  return true;
}

// Makes an argument of a function a value. The argument is a handle that is only read and returned in its
// place.
class ArgumentFreezer {
 public:
  explicit ArgumentFreezer(tf::FunctionDefLibrary* library) : library_(library) {
    for (int i = 0; i < library->function_size(); ++i) index_[library->function(i).signature().name()] = i;
  }

  bool CanFreeze(const std::string& function, int argument, bool loop) const {
    const auto found = index_.find(function);
    if (found == index_.end()) return false;
    const tf::FunctionDef& def = library_->function(found->second);
    if (argument >= def.signature().input_arg_size()) return false;
    const std::string& name = def.signature().input_arg(argument).name();
    for (const tf::NodeDef& node : def.node_def()) {
      for (int i = 0; i < node.input_size(); ++i) {
        if (node.input(i) != name) continue;
        tf::NodeDef copy = node;
        if (i != 0 || !ReadOfValue(&copy, "", tf::DT_FLOAT)) return false;
      }
    }
    for (int i = 0; i < def.signature().output_arg_size(); ++i) {
      const auto returned = def.ret().find(def.signature().output_arg(i).name());
      if (returned == def.ret().end() || returned->second != name) continue;
      if (!loop || i != argument) return false;
    }
    return true;
  }

  // Returns the name of a copy of `function`, or of `function` if it is already a copy, which one call owns.
  std::string Freeze(const std::string& function, int argument, tf::DataType dtype) {
    std::string name = function;
    if (function.find(kSuffix) == std::string::npos) {
      name = function + kSuffix + std::to_string(++copies_);
      tf::FunctionDef copy = library_->function(index_.at(function));
      copy.mutable_signature()->set_name(name);
      index_[name] = library_->function_size();
      *library_->add_function() = std::move(copy);
    }
    tf::FunctionDef& def = *library_->mutable_function(index_.at(name));
    tf::OpDef& signature = *def.mutable_signature();
    signature.mutable_input_arg(argument)->set_type(dtype);
    signature.mutable_input_arg(argument)->clear_handle_data();
    def.mutable_arg_attr()->erase(static_cast<std::uint32_t>(argument));
    const std::string& argument_name = signature.input_arg(argument).name();
    for (tf::OpDef::ArgDef& output : *signature.mutable_output_arg()) {
      const auto returned = def.ret().find(output.name());
      if (returned == def.ret().end() || returned->second != argument_name) continue;
      output.set_type(dtype);
      output.clear_handle_data();
    }
    std::unordered_map<std::string, std::string> renamed;
    std::vector<std::string> axes;
    for (tf::NodeDef& node : *def.mutable_node_def()) {
      if (node.input_size() == 0 || node.input(0) != argument_name) continue;
      const std::string before = node.op() == "ReadVariableOp" ? ":value:0" : ":output:0";
      const std::string axis = node.name() + "_axis";
      if (node.op() == "ResourceGather") axes.push_back(axis);
      ReadOfValue(&node, axis + ":output:0", dtype);
      if (before == ":value:0") renamed.emplace(node.name() + before, node.name() + ":output:0");
    }
    for (const std::string& axis : axes) {
      tf::NodeDef* zero = def.add_node_def();
      zero->set_name(axis);
      BecomeConst(tf::Tensor(std::int32_t{0}), zero);
    }
    const auto rename = [&](std::string* tensor) {
      const auto found = renamed.find(*tensor);
      if (found != renamed.end()) *tensor = found->second;
    };
    for (tf::NodeDef& node : *def.mutable_node_def()) {
      for (std::string& input : *node.mutable_input()) rename(&input);
    }
    for (auto& [output, tensor] : *def.mutable_ret()) rename(&tensor);
    return name;
  }

 private:
  tf::FunctionDefLibrary* library_;
  std::map<std::string, int> index_;
  int copies_ = 0;
};

bool FreezeInput(tf::NodeDef* node, int input, const std::string& constant, tf::DataType dtype,
                 ArgumentFreezer* functions, const Rewriter& rewriter) {
  const bool loop = IsLoop(*node);
  const int argument = input - FirstArgument(*node);
  if ((!loop && !IsBranch(*node)) || argument < 0) return false;
  for (const std::string& callee : Callees(*node)) {
    if (!functions->CanFreeze(callee, argument, loop)) return false;
  }
  if (loop) {
    for (const Rewriter::Reader& reader : rewriter.Readers(*node)) {
      if (TensorRef(reader.node->input(reader.input)).index == input)
        return false;  // reads the handle after the loop
    }
  }
  ForEachCallee(node, [&](tf::NameAttrList* callee) {
    callee->set_name(functions->Freeze(callee->name(), argument, dtype));
  });
  auto& attr = *node->mutable_attr();
  attr[loop ? "T" : "Tin"].mutable_list()->set_type(argument, dtype);
  attr.erase("_output_shapes");
  if (loop && attr.count("output_shapes") > 0 && attr["output_shapes"].list().shape_size() > input) {
    attr["output_shapes"].mutable_list()->mutable_shape(input)->set_unknown_rank(true);
  }
  node->set_input(input, constant);
  return true;
}

// Inlining leaves control edges from handles, which keep them alive. Making a handle has no effect to wait
// for.
void DropWaitsForHandles(tf::GraphDef* graph) {
  std::unordered_set<std::string> handles;
  for (const tf::NodeDef& node : graph->node()) {
    if (node.op() == "VarHandleOp" || IsReferenceVariable(node)) handles.insert("^" + node.name());
  }
  for (tf::NodeDef& node : *graph->mutable_node()) {
    auto* inputs = node.mutable_input();
    inputs->erase(std::remove_if(inputs->begin(), inputs->end(),
                                 [&](const std::string& input) { return handles.count(input) > 0; }),
                  inputs->end());
  }
}

}  // namespace

Frozen Freeze(tf::GraphDef* graph, ConstantPool* pool,
              const std::function<bool(const tf::NodeDef& handle, tf::Tensor* value)>& value) {
  DropWaitsForHandles(graph);
  Frozen frozen;
  Rewriter rewriter(graph, pool);
  ArgumentFreezer functions(graph->mutable_library());
  std::map<std::string, std::string> constants;  // by variable
  std::string axis;
  for (tf::NodeDef* handle : rewriter.nodes()) {
    const bool is_reference = IsReferenceVariable(*handle);
    if (handle->op() != "VarHandleOp" && !is_reference) continue;
    tf::Tensor tensor;
    if (!value(*handle, &tensor)) {
      ++frozen.kept;
      continue;
    }
    std::string& constant = constants[VariableKey(*handle)];
    if (constant.empty()) {
      constant = rewriter.AddConstant(handle->name() + "/value", tensor)->name();
      if (!ConstantPool::Takes(tensor) && tf::DataTypeCanUseMemcpy(tensor.dtype())) pool->Remember(tensor);
      ++frozen.variables;
      frozen.bytes += static_cast<std::int64_t>(tensor.TotalBytes());
    }
    if (is_reference) {
      const std::vector<Rewriter::Reader> readers = rewriter.Readers(*handle);
      for (const Rewriter::Reader& reader : readers) rewriter.SetInput(reader.node, reader.input, constant);
      frozen.reads += static_cast<int>(readers.size());
      continue;
    }
    // Follows Identity nodes that pass handles on.
    std::vector<const tf::NodeDef*> pending{handle};
    while (!pending.empty()) {
      const tf::NodeDef* source = pending.back();
      pending.pop_back();
      const std::vector<Rewriter::Reader> readers = rewriter.Readers(*source);
      for (const Rewriter::Reader& reader : readers) {
        if (IsControl(reader.node->input(reader.input))) continue;
        if (reader.node->op() == "Identity") {
          pending.push_back(reader.node);
        } else if (reader.input == 0 && ReadsVariable(reader.node->op())) {
          if (reader.node->op() == "ResourceGather" && axis.empty())
            axis = rewriter.AddConstant("savedmodel_axis", tf::Tensor(std::int32_t{0}))->name();
          if (ReadOfValue(reader.node, axis, tensor.dtype())) {
            rewriter.SetInput(reader.node, 0, constant);
            ++frozen.reads;
          }
        } else if (FreezeInput(reader.node, reader.input, constant, tensor.dtype(), &functions, rewriter)) {
          ++frozen.reads;
        }
      }
    }
  }
  return frozen;
}

}  // namespace savedmodel::engine
