// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/mend.h"

#include <set>
#include <utility>
#include <vector>

#include "engine/base/quote.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph.h"
#include "engine/graph/provenance.h"
#include "engine/graph/signatures.h"
#include "engine/graph/variable_use.h"
#include "engine/objects/object_tensors.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// The key shared by all nodes of one variable; empty for other nodes.
std::string NameOf(const tf::NodeDef& node) {
  if (IsReferenceVariable(node)) return "reference " + node.name();
  return node.op() == "VarHandleOp" ? VariableKey(node) : "";
}

// True if the op's first input is a reference: it may change a v1 variable.
bool TakesReference(const tf::NodeDef& node) {
  const tf::OpDef* op = FindOp(node.op());
  return op != nullptr && op->input_arg_size() > 0 && op->input_arg(0).is_ref();
}

using Variables = std::map<std::string, std::vector<const tf::NodeDef*>>;  // by NameOf

Variables FindVariables(const tf::GraphDef& graph) {
  Variables variables;
  for (const tf::NodeDef& node : graph.node()) {
    const std::string name = NameOf(node);
    if (!name.empty()) variables[name].push_back(&node);
  }
  return variables;
}

// Keeps the variables to which a run of `start` assigns no value.
void DropWritten(const std::vector<std::string>& start, GraphWalk* walk, Variables* variables) {
  walk->Run(start, {}, [&](const tf::NodeDef& node, const std::vector<TensorOrigin>& inputs) {
    if (ReadsVariable(node.op()) || IsCall(node) || walk->FindFunction(node.op()) != nullptr) return;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string& tensor = inputs[i].tensor;
      const tf::NodeDef* handle = tensor.empty() ? nullptr : walk->Find(NodeOf(tensor));
      if (handle == nullptr || (IsReferenceVariable(*handle) && (i > 0 || !TakesReference(node)))) continue;
      variables->erase(NameOf(*handle));
    }
  });
}

Variables FindUnset(const tf::MetaGraphDef& meta_graph, GraphWalk* walk) {
  Variables variables = FindVariables(meta_graph.graph_def());
  if (variables.empty()) return variables;
  for (const std::string& start : {meta_graph.saver_def().restore_op_name(), InitOpOf(meta_graph)}) {
    if (!start.empty()) DropWritten({start}, walk, &variables);
  }
  return variables;
}

bool SameKind(const tf::NodeDef& a, const tf::NodeDef& b) {
  return b.op() == "VarHandleOp" && Attr(a, "dtype").type() == Attr(b, "dtype").type() &&
         Attr(a, "shape").SerializeAsString() == Attr(b, "shape").SerializeAsString();
}

// If the identifying calls have been inlined, the variable's name identifies its object, if it is unique.
void AddNamedObjects(const tf::SavedObjectGraph& objects, const Variables& unset,
                     std::map<std::string, int>* captured) {
  std::map<std::string, std::vector<int>> by_name;
  for (int i = 0; i < objects.nodes_size(); ++i) {
    if (objects.nodes(i).has_variable()) by_name[objects.nodes(i).variable().name()].push_back(i);
  }
  for (const auto& [name, nodes] : unset) {
    for (const tf::NodeDef* node : nodes) {
      const auto found = by_name.find(Attr(*node, "shared_name").s());
      if (found == by_name.end() || found->second.size() != 1) continue;
      captured->emplace(node->name() + ":0", found->second[0]);
    }
  }
}

}  // namespace

int MendVariables(const std::string& path, tf::MetaGraphDef* meta_graph) {
  const tf::SavedObjectGraph& objects = meta_graph->object_graph_def();
  if (objects.nodes_size() == 0 || meta_graph->saver_def().restore_op_name().empty()) return 0;
  GraphWalk walk(meta_graph->graph_def());
  const Variables unset = FindUnset(*meta_graph, &walk);
  if (unset.empty()) return 0;
  auto captured = CapturedObjects(objects, meta_graph->graph_def(), &walk);
  AddNamedObjects(objects, unset, &captured);
  const auto keys = CheckpointKeys(path, objects);
  const auto restored = RestoredHandles(meta_graph->saver_def(), &walk);
  // The restored variable gets the name that signatures read, which its program gave it.
  std::map<std::string, const tf::NodeDef*> renamed;
  std::map<std::string, const tf::NodeDef*> chosen;  // by the checkpoint's key
  for (const auto& [name, nodes] : unset) {
    for (const tf::NodeDef* node : nodes) {
      const auto object = captured.find(node->name() + ":0");
      const auto key = object == captured.end() ? keys.end() : keys.find(object->second);
      const auto handle = key == keys.end() ? restored.end() : restored.find(key->second);
      const tf::NodeDef* source = handle == restored.end() ? nullptr : walk.Find(NodeOf(handle->second));
      if (source == nullptr || !SameKind(*node, *source) || VariableKey(*source).empty()) continue;
      const auto [first, fresh] = chosen.emplace(key->second, node);
      if (!fresh && VariableKey(*node) == VariableKey(*first->second)) continue;
      renamed.emplace(VariableKey(fresh ? *source : *node), first->second);
    }
  }
  // Readers of the handle change as well, because pruning follows nodes and not names of variables.
  std::map<std::string, const tf::NodeDef*> replaced;
  std::map<tf::NodeDef*, std::pair<std::string, std::string>> changes;
  for (tf::NodeDef& node : *meta_graph->mutable_graph_def()->mutable_node()) {
    const auto found = node.op() == "VarHandleOp" ? renamed.find(VariableKey(node)) : renamed.end();
    if (found == renamed.end()) continue;
    replaced.emplace(node.name(), found->second);
    changes[&node] = {Attr(*found->second, "shared_name").s(), Attr(*found->second, "container").s()};
  }
  for (const auto& [node, name] : changes) {
    (*node->mutable_attr())["shared_name"].set_s(name.first);
    (*node->mutable_attr())["container"].set_s(name.second);
  }
  for (tf::NodeDef& node : *meta_graph->mutable_graph_def()->mutable_node()) {
    for (std::string& input : *node.mutable_input()) {
      const auto found = replaced.find(NodeOf(input));
      if (found != replaced.end()) input = (IsControl(input) ? "^" : "") + found->second->name();
    }
  }
  return static_cast<int>(chosen.size());
}

void CheckInitialized(const std::string& path, const tf::MetaGraphDef& meta_graph,
                      const std::map<std::string, Signature>& signatures) {
  GraphWalk walk(meta_graph.graph_def());
  Variables unset = FindUnset(meta_graph, &walk);
  if (unset.empty()) return;
  std::map<std::string, std::vector<std::string>> feeds;
  std::map<std::string, std::vector<std::string>> fetches;
  for (const auto& [name, signature] : signatures) {
    for (const TensorSpec& spec : Flatten(signature.inputs)) feeds[name].push_back(spec.name);
    for (const TensorSpec& spec : Flatten(signature.outputs)) fetches[name].push_back(spec.name);
    DropWritten(fetches[name], &walk, &unset);
  }
  for (const auto& [name, signature] : signatures) {
    const std::string& reader = name;
    walk.Run(
        fetches[name], feeds[name], [&](const tf::NodeDef& node, const std::vector<TensorOrigin>& inputs) {
          const bool resource = ReadsVariable(node.op()) && node.op() != "VarIsInitializedOp";
          for (const TensorOrigin& input : inputs) {
            const tf::NodeDef* handle = input.tensor.empty() ? nullptr : walk.Find(NodeOf(input.tensor));
            if (handle == nullptr || (!resource && !IsReferenceVariable(*handle))) continue;
            if (unset.count(NameOf(*handle)) == 0) continue;
            const std::string shared = Attr(*handle, "shared_name").s();
            throw Error(
                Code::kFailedPrecondition,
                Quote(path) + ": signature " + Quote(reader) + " reads the variable " +
                    Quote(shared.empty() ? handle->name() : shared) +
                    ", and nothing in the SavedModel gives it a value: neither the restore of the "
                    "checkpoint nor the init op. If it is a Keras model, save it with model.export(path)");
          }
        });
  }
}

}  // namespace savedmodel::engine
