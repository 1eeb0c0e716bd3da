// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/signatures.h"

#include <set>
#include <vector>

#include "engine/base/names.h"
#include "engine/edit/graph_tensors.h"
#include "engine/edit/needed.h"
#include "engine/edit/saved_object.h"
#include "engine/graph/signatures.h"
#include "savedmodel/error.h"
#include "tensorflow/cc/saved_model/constants.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

[[noreturn]] void ThrowValue(const std::string& message) {
  throw UsageError(UsageError::Kind::kValue, message);
}

std::string Named(const std::string& signature) { return "signature " + Quote(signature); }

tf::SignatureDef* Find(const std::string& name, tf::MetaGraphDef* meta_graph) {
  const auto known = ReadSignatures(*meta_graph);  // without the loader's signatures
  if (known.count(name) == 0) ThrowNoSuch("signature", name, Keys(known));
  return &meta_graph->mutable_signature_def()->at(name);
}

// An unfed placeholder would fail in the first call.
void CheckFed(const std::string& name, const tf::MetaGraphDef& meta_graph) {
  const Signature signature = ReadSignatures(meta_graph).at(name);
  const std::vector<std::string> feeds = DenseTensors(signature.inputs);
  const std::set<std::string> fed(feeds.begin(), feeds.end());
  NeededNodes needed(meta_graph.graph_def());
  needed.AddCall(feeds, DenseTensors(signature.outputs));
  for (const tf::NodeDef& node : meta_graph.graph_def().node()) {
    const std::string tensor = node.name() + ":0";
    if (node.op() != "Placeholder" || !needed.Has(node.name()) || fed.count(tensor) > 0) continue;
    ThrowValue(Named(name) + " needs the placeholder " + Quote(tensor) + ", which is not one of its inputs");
  }
}

void AddTensors(const TensorNames& tensors, const std::string& signature, const std::string& what,
                tf::GraphDef* graph, google::protobuf::Map<std::string, tf::TensorInfo>* infos) {
  std::map<std::string, std::string> found;
  for (const auto& [key, name] : tensors) {
    if (key.empty()) ThrowValue(Named(signature) + ": the key of an " + what + " is empty");
    if (infos->count(key) > 0) {
      ThrowValue(Named(signature) + " has an " + what + " " + Quote(key) + " already");
    }
    found.emplace(key, FindTensor(name, graph));
  }
  std::vector<std::string> names;
  for (const auto& [key, name] : found) names.push_back(name);
  const auto described = Describe(*graph, names);
  for (const auto& [key, name] : found) (*infos)[key] = described.at(name);
}

}  // namespace

void CheckFree(const std::string& name, const tf::MetaGraphDef& meta_graph) {
  if (name.empty()) ThrowValue("the name of a signature is empty");
  if (name == tf::kSavedModelInitOpSignatureKey || name == tf::kSavedModelTrainOpSignatureKey) {
    ThrowValue(Quote(name) + " is reserved for TensorFlow's loader");
  }
  if (meta_graph.signature_def().count(name) > 0) ThrowValue("there is a " + Named(name) + " already");
}

void Apply(const AddSignature& operation, State* state) {
  tf::MetaGraphDef* meta_graph = state->Selected();
  CheckFree(operation.name, *meta_graph);
  if (operation.outputs.empty()) ThrowValue(Named(operation.name) + " has no output");
  tf::SignatureDef definition;
  definition.set_method_name(operation.method_name);
  tf::GraphDef* graph = meta_graph->mutable_graph_def();
  AddTensors(operation.inputs, operation.name, "input", graph, definition.mutable_inputs());
  AddTensors(operation.outputs, operation.name, "output", graph, definition.mutable_outputs());
  std::set<std::string> feeds;
  for (const auto& [key, info] : definition.inputs()) {
    if (!feeds.insert(info.name()).second)
      ThrowValue(Named(operation.name) + ": two inputs are the same tensor");
  }
  (*meta_graph->mutable_signature_def())[operation.name] = definition;
  CheckFed(operation.name, *meta_graph);
  PutSignature(operation.name, state->SelectedCaptures(), meta_graph);
}

void Apply(const RenameSignature& operation, State* state) {
  tf::MetaGraphDef* meta_graph = state->Selected();
  const tf::SignatureDef definition = *Find(operation.name, meta_graph);
  if (operation.to == operation.name) return;
  CheckFree(operation.to, *meta_graph);
  meta_graph->mutable_signature_def()->erase(operation.name);
  (*meta_graph->mutable_signature_def())[operation.to] = definition;
  RenameSignatureObject(operation.name, operation.to, meta_graph);
}

void Apply(const RemoveSignature& operation, State* state) {
  tf::MetaGraphDef* meta_graph = state->Selected();
  Find(operation.name, meta_graph);
  meta_graph->mutable_signature_def()->erase(operation.name);
  RemoveSignatureObject(operation.name, meta_graph);
}

void Apply(const AddOutputs& operation, State* state) {
  tf::MetaGraphDef* meta_graph = state->Selected();
  tf::SignatureDef* definition = Find(operation.signature, meta_graph);
  AddTensors(operation.outputs, operation.signature, "output", meta_graph->mutable_graph_def(),
             definition->mutable_outputs());
  CheckFed(operation.signature, *meta_graph);
  PutSignature(operation.signature, state->SelectedCaptures(), meta_graph);
}

void Apply(const KeepOutputs& operation, State* state) {
  tf::MetaGraphDef* meta_graph = state->Selected();
  tf::SignatureDef* definition = Find(operation.signature, meta_graph);
  google::protobuf::Map<std::string, tf::TensorInfo> kept;
  for (const std::string& key : operation.keys) {
    const auto found = definition->outputs().find(key);
    if (found == definition->outputs().end()) {
      ThrowNoSuch("output", key, Keys(definition->outputs()));
    }
    kept[key] = found->second;
  }
  if (kept.empty()) ThrowValue(Named(operation.signature) + " would have no output");
  if (kept.size() == definition->outputs().size()) return;
  *definition->mutable_outputs() = kept;
  PutSignature(operation.signature, state->SelectedCaptures(), meta_graph);
}

void Apply(const SetMethodName& operation, State* state) {
  tf::MetaGraphDef* meta_graph = state->Selected();
  Find(operation.signature, meta_graph)->set_method_name(operation.method_name);
}

}  // namespace savedmodel::engine::edit
