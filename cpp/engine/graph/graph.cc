// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/graph.h"

#include <algorithm>
#include <set>

#include "engine/base/status.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/op_libraries.h"
#include "engine/graph/signatures.h"
#include "engine/graph/variable_use.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/op_def.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Ops that take a resource and data, and let go of the data when they return.
const std::set<std::string>& KnownReaders() {
  static const auto* ops = new std::set<std::string>{
      "AssignAdd", "AssignAddVariableOp", "AssignSub", "AssignSubVariableOp", "LookupTableFind",
      "LookupTableFindV2", "ResourceGather", "ResourceGatherNd", "ResourceScatterAdd", "ResourceScatterDiv",
      "ResourceScatterMax", "ResourceScatterMin", "ResourceScatterMul", "ResourceScatterNdAdd",
      "ResourceScatterNdSub", "ResourceScatterNdUpdate", "ResourceScatterSub", "ResourceScatterUpdate",
      "RngReadAndSkip", "RngSkip", "ScatterAdd", "ScatterSub", "ScatterUpdate", "StatefulStandardNormal",
      "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulUniform", "StatefulUniformFullInt",
      "StatefulUniformInt", "StatefulRandomBinomial", "VariableShape",
      // These live in the step's own container and go with it.
      "StackPush", "StackPushV2", "TensorArrayConcat", "TensorArrayConcatV3", "TensorArrayGather",
      "TensorArrayGatherV3", "TensorArrayRead", "TensorArrayReadV3", "TensorArrayScatter",
      "TensorArrayScatterV3", "TensorArraySizeV3", "TensorArraySplit", "TensorArraySplitV3",
      "TensorArrayWrite", "TensorArrayWriteV3", "TensorArrayGradV3",
      // Tables copy what they are given.
      "LookupTableInsert", "LookupTableInsertV2", "LookupTableRemoveV2"};
  return *ops;
}

bool IsHandle(const tf::OpDef::ArgDef& arg) { return arg.is_ref() || arg.type() == tf::DT_RESOURCE; }

// Ops that write into their input whoever owns it.
bool WritesInput(const std::string& op) {
  return op == "InplaceUpdate" || op == "InplaceAdd" || op == "InplaceSub" || op == "_ParallelConcatUpdate" ||
         op == "ParallelConcatUpdate";
}

// Ops whose kernels block the thread until another node of the run has done its part.
bool Blocks(const std::string& op) {
  return op == "Stage" || op == "Unstage" || op == "StagePeek" || op.rfind("MapStage", 0) == 0 ||
         op.rfind("MapUnstage", 0) == 0 || op == "MapPeek" || op.rfind("OrderedMap", 0) == 0;
}

bool MayKeepInputs(const tf::OpDef& op) {
  if (WritesInput(op.name())) return true;
  if (!op.is_stateful() && std::none_of(op.input_arg().begin(), op.input_arg().end(),
                                        [](const auto& arg) { return arg.is_ref(); })) {
    return false;
  }
  if (KnownReaders().count(op.name()) > 0) return false;
  const bool data = std::any_of(op.input_arg().begin(), op.input_arg().end(),
                                [](const auto& arg) { return !IsHandle(arg); });
  const bool handle = std::any_of(op.input_arg().begin(), op.input_arg().end(), IsHandle);
  const bool shared = std::any_of(op.attr().begin(), op.attr().end(),
                                  [](const auto& attr) { return attr.name() == "shared_name"; });
  return data && (handle || shared);
}

// Answers for a function: which op in it, or in what it calls, may keep an input.
class FunctionKeepers {
 public:
  explicit FunctionKeepers(const tf::FunctionDefLibrary& library) : functions_(library) {}
  // The function that is called as if it were an op, or nullptr.
  const tf::FunctionDef* Find(const std::string& name) const { return functions_.Find(name); }
  std::string OfNode(const tf::NodeDef& node) {
    if (functions_.Find(node.op()) != nullptr) return OfFunction(node.op());
    for (const std::string& name : CalledFunctions(node)) {
      std::string keeper = OfFunction(name);
      if (!keeper.empty()) return keeper;
    }
    if (!CalledFunctions(node).empty()) return "";  // a call is no reader or writer by itself
    const tf::OpDef* op = FindOp(node.op());
    if (op == nullptr) return "";
    return MayKeepInputs(*op) ? node.op() : "";
  }

 private:
  std::string OfFunction(const std::string& name) {
    const auto [entry, fresh] = keepers_.emplace(name, "");
    if (!fresh) return entry->second;
    const tf::FunctionDef* function = functions_.Find(name);
    if (function == nullptr) return "";
    for (const tf::NodeDef& node : function->node_def()) {
      std::string keeper = OfNode(node);
      if (!keeper.empty()) return keepers_[name] = keeper;
    }
    return "";
  }
  FunctionIndex functions_;
  std::unordered_map<std::string, std::string> keepers_;
};

// False if the node's op can't be told.
bool OutputTypes(const tf::NodeDef& node, const tf::FunctionDef* function, std::vector<DType>* result) {
  const tf::OpDef* op = function == nullptr ? FindOp(node.op()) : &function->signature();
  if (op == nullptr) return false;
  tf::DataTypeVector types;
  if (!tf::OutputTypesForNode(node, *op, &types).ok()) {
    tf::NodeDef complete = node;  // attributes that have their default may be left out
    tf::AddDefaultsToNodeDef(*op, &complete);
    types.clear();
    if (!tf::OutputTypesForNode(complete, *op, &types).ok()) return false;
  }
  for (tf::DataType type : types) result->push_back(static_cast<DType>(tf::BaseType(type)));
  return true;
}

PartialShape ShapeAttribute(const tf::NodeDef& node) {
  const tf::AttrValue* shape = FindAttr(node, "shape");
  return shape == nullptr ? std::nullopt : ToPartialShape(shape->shape());
}

std::string NameOfHandle(const tf::NodeDef& node) {
  const std::string& name = Attr(node, "shared_name").s();
  return name.empty() ? node.name() : name;
}

}  // namespace

GraphIndex::GraphIndex(const tf::GraphDef& graph) {
  FunctionKeepers keepers(graph.library());
  engine::MissingOps missing(graph.library());
  nodes_.reserve(static_cast<std::size_t>(graph.node_size()));
  for (const tf::FunctionDef& function : graph.library().function()) {
    for (const tf::NodeDef& node : function.node_def()) has_blocking_ops_ |= Blocks(node.op());
  }
  for (const tf::NodeDef& node : graph.node()) {
    index_.emplace(node.name(), static_cast<int>(nodes_.size()));
    Node entry;
    entry.known = OutputTypes(node, keepers.Find(node.op()), &entry.outputs);
    has_blocking_ops_ |= Blocks(node.op());
    entry.keeper = keepers.OfNode(node);
    if (std::set<std::string> ops = missing.Of(node); !ops.empty()) {
      missing_ops_.emplace(nodes_.size(), std::move(ops));
    }
    if (node.op() == "Placeholder" || node.op() == "PlaceholderWithDefault") {
      entry.placeholder_shape = ShapeAttribute(node);
      // Before GraphDef version 24 a placeholder's empty shape meant an unknown one.
      if (graph.versions().producer() < 24 && entry.placeholder_shape && entry.placeholder_shape->empty()) {
        entry.placeholder_shape.reset();
      }
    }
    const bool reference = IsReferenceVariable(node);
    if (reference || node.op() == "VarHandleOp") {
      TensorSpec spec;
      spec.key = reference ? node.name() : NameOfHandle(node);
      spec.name = node.name();
      spec.dtype = static_cast<DType>(Attr(node, "dtype").type());
      spec.shape = ShapeAttribute(node);
      variable_places_[spec.key] = {reference, Attr(node, "container").s(), Attr(node, "shared_name").s()};
      has_reference_variables_ |= reference;
      variables_.emplace(spec.key, std::move(spec));
    }
    nodes_.push_back(std::move(entry));
  }
  std::set<int> read_only;
  for (int i = 0; i < graph.node_size(); ++i) {
    if (graph.node(i).op() == "VarHandleOp") read_only.insert(i);
  }
  for (int i = 0; i < graph.node_size(); ++i) {
    const bool reads = ReadsVariable(graph.node(i).op());
    for (const std::string& input : graph.node(i).input()) {
      const auto found = index_.find(NodeOf(input));
      if (found == index_.end()) continue;
      nodes_[static_cast<std::size_t>(i)].inputs.push_back(found->second);
      if (!reads && !IsControl(input)) read_only.erase(found->second);
    }
  }
  DropUnassigned(graph, read_only);
}

void GraphIndex::DropUnassigned(const tf::GraphDef& graph, const std::set<int>& read_only) {
  if (read_only.empty()) return;
  std::set<std::string> assigned;
  for (const tf::FunctionDef& function : graph.library().function()) {
    for (const tf::NodeDef& node : function.node_def()) {
      if (node.op() == "VarHandleOp") assigned.insert(Attr(node, "shared_name").s());
    }
  }
  for (int i = 0; i < graph.node_size(); ++i) {
    if (graph.node(i).op() == "VarHandleOp" && read_only.count(i) == 0)
      assigned.insert(NameOfHandle(graph.node(i)));
  }
  for (const int i : read_only) {
    const std::string name = NameOfHandle(graph.node(i));
    if (assigned.count(name) == 0) variables_.erase(name);
  }
}

DType GraphIndex::TypeOf(const TensorRef& tensor, const std::string& what) const {
  const auto found = index_.find(tensor.node);
  if (found == index_.end()) {
    throw Error(Code::kNotFound, what + ": the graph has no node '" + tensor.node + "'");
  }
  if (!nodes_[static_cast<std::size_t>(found->second)].known) return DType::kInvalid;
  const auto& outputs = nodes_[static_cast<std::size_t>(found->second)].outputs;
  if (static_cast<std::size_t>(tensor.index) >= outputs.size()) {
    throw Error(Code::kNotFound, what + ": node '" + tensor.node + "' has no output " +
                                     std::to_string(tensor.index) + "; it has " +
                                     std::to_string(outputs.size()) + " outputs, numbered from 0");
  }
  return outputs[static_cast<std::size_t>(tensor.index)];
}

PartialShape GraphIndex::PlaceholderShape(const TensorRef& tensor) const {
  const auto found = index_.find(tensor.node);
  if (found == index_.end() || tensor.index != 0) return std::nullopt;
  return nodes_[static_cast<std::size_t>(found->second)].placeholder_shape;
}

template <typename Visit>
void GraphIndex::Walk(const std::vector<TensorRef>& fetches, const Visit& visit) const {
  std::vector<int> pending;
  std::vector<bool> seen(nodes_.size());
  for (const TensorRef& fetch : fetches) {
    const auto found = index_.find(fetch.node);
    if (found != index_.end()) pending.push_back(found->second);
  }
  while (!pending.empty()) {
    const auto node = static_cast<std::size_t>(pending.back());
    pending.pop_back();
    if (seen[node]) continue;
    seen[node] = true;
    if (visit(node)) return;
    pending.insert(pending.end(), nodes_[node].inputs.begin(), nodes_[node].inputs.end());
  }
}

std::string GraphIndex::InputKeeper(const std::vector<TensorRef>& fetches) const {
  std::string keeper;
  Walk(fetches, [&](std::size_t node) {
    keeper = nodes_[node].keeper;
    return !keeper.empty();
  });
  return keeper;
}

std::set<std::string> GraphIndex::MissingOps(const std::vector<TensorRef>& fetches) const {
  std::set<std::string> ops;
  if (missing_ops_.empty()) return ops;
  Walk(fetches, [&](std::size_t node) {
    const auto found = missing_ops_.find(node);
    if (found != missing_ops_.end()) ops.insert(found->second.begin(), found->second.end());
    return false;
  });
  return ops;
}

}  // namespace savedmodel::engine
