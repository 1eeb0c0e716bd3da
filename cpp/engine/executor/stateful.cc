// SPDX-License-Identifier: Apache-2.0
#include "engine/executor/stateful.h"

#include <algorithm>
#include <set>

#include "engine/base/status.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool StartsWith(const std::string& text, const char* with) { return text.rfind(with, 0) == 0; }

// Stateful ops without side effects, or whose state ends with the step.
bool OnlyReads(const std::string& op) {
  static const auto* const ops = new std::set<std::string>{"_Arg",
                                                           "_Retval",
                                                           "Assert",
                                                           "DisableCopyOnRead",
                                                           "HashTableV2",
                                                           "LookupTableExportV2",
                                                           "LookupTableFindV2",
                                                           "LookupTableSizeV2",
                                                           "MutableDenseHashTableV2",
                                                           "MutableHashTableOfTensorsV2",
                                                           "MutableHashTableV2",
                                                           "ReadVariableOp",
                                                           "ResourceGather",
                                                           "ResourceGatherNd",
                                                           "VarHandleOp",
                                                           "VarIsInitializedOp",
                                                           "VariableShape"};
  return ops->count(op) > 0 || StartsWith(op, "TensorArray") || StartsWith(op, "Stack");
}

class Effects {
 public:
  explicit Effects(const tf::FunctionLibraryDefinition& library) : library_(library) {}

  void Add(const tf::NodeDef& node) {
    const std::vector<std::string> called = CalledFunctions(node);
    for (const std::string& name : called) AddFunction(name);
    if (library_.Find(node.op()) != nullptr) return AddFunction(node.op());
    const tf::OpDef* op = FindOp(node.op());
    if (!called.empty() || op == nullptr) return;
    if (op->is_stateful() && !OnlyReads(node.op())) ops_.insert(node.op());
  }
  std::vector<std::string> Take() const { return {ops_.begin(), ops_.end()}; }

 private:
  void AddFunction(const std::string& name) {
    const tf::FunctionDef* function = library_.Find(name);
    if (function == nullptr || !seen_.insert(name).second) return;
    for (const tf::NodeDef& node : function->node_def()) Add(node);
  }

  const tf::FunctionLibraryDefinition& library_;
  std::set<std::string> seen_;
  std::set<std::string> ops_;
};

}  // namespace

bool NeedsSession(const tf::Node& node) {
  static const auto* const ops = new std::set<std::string>{"DeleteSessionTensor", "GetSessionHandle",
                                                           "GetSessionHandleV2", "GetSessionTensor"};
  return std::any_of(node.output_types().begin(), node.output_types().end(), tf::IsRefType) ||
         std::any_of(node.input_types().begin(), node.input_types().end(), tf::IsRefType) || node.IsSend() ||
         node.IsRecv() || node.IsCollective() || ops->count(node.type_string()) > 0;
}

std::vector<std::string> EffectsOf(const ExecutableGraph& graph) {
  Effects effects(*graph.functions);
  for (const tf::Node* node : graph.graph->op_nodes()) effects.Add(node->def());
  return effects.Take();
}

bool UsesStepContainer(const tf::Node& node) {
  const std::string& op = node.type_string();
  const bool on_variable = op.find("VariableOp") != std::string::npos || StartsWith(op, "Resource") ||
                           StartsWith(op, "LookupTable");
  return node.op_def().is_stateful() && !on_variable && op != "VarHandleOp" && op != "Assert";
}

void NameTables(tf::GraphDef* graph) {
  static const auto* const tables = new std::set<std::string>{
      "HashTableV2", "MutableDenseHashTableV2", "MutableHashTableOfTensorsV2", "MutableHashTableV2"};
  for (tf::NodeDef& node : *graph->mutable_node()) {
    if (tables->count(node.op()) == 0) continue;
    auto& attributes = *node.mutable_attr();
    const auto sharing = attributes.find("use_node_name_sharing");
    if (sharing != attributes.end() && sharing->second.b()) continue;
    std::string* name = attributes["shared_name"].mutable_s();
    if (name->empty()) *name = "savedmodel_table_of/" + node.name();
  }
}

bool StatefulKernels::Owns(const tf::NodeDef& node, const tf::OpDef& op) {
  const bool on_resource = std::any_of(op.input_arg().begin(), op.input_arg().end(),
                                       [](const auto& input) { return input.type() == tf::DT_RESOURCE; });
  return op.is_stateful() && !on_resource && node.op() != "VarHandleOp" && CalledFunctions(node).empty();
}

tf::OpKernel* StatefulKernels::Find(tf::Device* device,
                                    const std::shared_ptr<const tf::NodeProperties>& properties,
                                    int graph_version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const tf::NodeDef& node = properties->node_def;
  std::unique_ptr<tf::OpKernel>& kernel =
      kernels_[{device, node.op(), tf::DataTypeSliceString(properties->output_types), node.name()}];
  if (kernel == nullptr) {
    tf::OpKernel* made = nullptr;
    ThrowIfError(tf::CreateOpKernel(tf::DEVICE_CPU, device, device->GetAllocator(tf::AllocatorAttributes()),
                                    nullptr, device->resource_manager(), properties, graph_version, &made));
    kernel.reset(made);
  }
  return kernel.get();
}

bool StatefulKernels::Holds(const tf::OpKernel* kernel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::any_of(kernels_.begin(), kernels_.end(),
                     [kernel](const auto& entry) { return entry.second.get() == kernel; });
}

void StatefulKernels::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  kernels_.clear();
}

}  // namespace savedmodel::engine
