// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/prune.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "engine/base/names.h"
#include "engine/edit/meta_graphs.h"
#include "engine/edit/needed.h"
#include "engine/edit/saver.h"
#include "engine/files/files.h"
#include "engine/graph/attributes.h"
#include "engine/graph/graph.h"
#include "engine/graph/provenance.h"
#include "engine/graph/signatures.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/variable.pb.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

// Collections of variables, by which a program that loads the graph finds them.
bool IsVariableCollection(const std::string& key) {
  static const std::set<std::string> keys{"variables",       "trainable_variables",      "local_variables",
                                          "model_variables", "moving_average_variables", "global_step"};
  return keys.count(key) > 0;
}

std::vector<tf::VariableDef> Variables(const tf::CollectionDef& collection, const NeededNodes& needed) {
  std::vector<tf::VariableDef> variables;
  for (const auto& bytes : collection.bytes_list().value()) {
    tf::VariableDef variable;
    if (variable.ParseFromString(bytes) && needed.Has(NodeOf(variable.variable_name()))) {
      variables.push_back(std::move(variable));
    }
  }
  return variables;
}

// The nodes that signatures need, and the parts of init op and restore that these need, until nothing is
// added.
NeededNodes Need(const tf::MetaGraphDef& meta_graph) {
  NeededNodes needed(meta_graph.graph_def());
  for (const auto& [key, signature] : ReadSignatures(meta_graph)) {
    const std::vector<std::string> feeds = DenseTensors(signature.inputs);
    needed.AddCall(feeds, DenseTensors(signature.outputs));
    for (const std::string& feed : feeds) needed.AddFed(NodeOf(feed));
  }
  const std::string init_op = InitOpOf(meta_graph);
  const std::string& restore = meta_graph.saver_def().restore_op_name();
  for (bool more = true; more;) {
    more = false;
    if (!init_op.empty()) more = needed.AddEffects(NodeOf(init_op)) || more;
    if (!restore.empty()) more = needed.AddEffects(NodeOf(restore)) || more;
    for (const auto& [key, collection] : meta_graph.collection_def()) {
      if (!IsVariableCollection(key)) continue;
      for (const tf::VariableDef& variable : Variables(collection, needed)) {
        for (const std::string& name :
             {variable.initializer_name(), variable.snapshot_name(), variable.initial_value_name()}) {
          const std::size_t before = needed.size();
          if (!name.empty()) needed.Add(NodeOf(name));
          more = needed.size() > before || more;
        }
      }
    }
  }
  if (!restore.empty()) needed.Add(NodeOf(meta_graph.saver_def().filename_tensor_name()));
  return needed;
}

void KeepNodes(const NeededNodes& needed, tf::GraphDef* graph) {
  google::protobuf::RepeatedPtrField<tf::NodeDef> kept;
  const GraphIndex index(*graph);
  for (tf::NodeDef& node : *graph->mutable_node()) {
    if (!needed.Has(node.name())) continue;
    google::protobuf::RepeatedPtrField<std::string> inputs;
    bool fed = false;
    for (const std::string& input : node.input()) {
      if (needed.Has(NodeOf(input))) {
        *inputs.Add() = input;
      } else if (!IsControl(input)) {
        fed = true;  // a signature gives its value: what computed it is removed
      }
    }
    tf::NodeDef* copy = kept.Add();
    if (fed) {
      const DType dtype = index.TypeOf(TensorRef::Parse(node.name()), node.name());
      copy->set_name(node.name());
      copy->set_device(node.device());
      BecomePlaceholder(static_cast<tf::DataType>(dtype), nullptr, copy);
      continue;
    }
    *copy = node;
    *copy->mutable_input() = inputs;
  }
  graph->mutable_node()->Swap(&kept);
  const tf::FunctionLibraryDefinition library(tf::OpRegistry::Global(), graph->library());
  *graph->mutable_library() = library.ReachableDefinitions(*graph).ToProto();
}

void KeepCollections(const NeededNodes& needed, tf::MetaGraphDef* meta_graph) {
  google::protobuf::Map<std::string, tf::CollectionDef> kept;
  for (const auto& [key, collection] : meta_graph->collection_def()) {
    tf::CollectionDef fewer;
    for (const auto& name : collection.node_list().value()) {
      if (needed.Has(NodeOf(name))) fewer.mutable_node_list()->add_value(name);
    }
    if (IsVariableCollection(key)) {
      for (const tf::VariableDef& variable : Variables(collection, needed)) {
        fewer.mutable_bytes_list()->add_value(variable.SerializeAsString());
      }
    }
    if (key == tf::kSavedModelAssetsKey) {
      for (const auto& any : collection.any_list().value()) {
        tf::AssetFileDef asset;
        const bool known = any.UnpackTo(&asset);
        if (known && !needed.Has(NodeOf(asset.tensor_info().name()))) continue;
        *fewer.mutable_any_list()->add_value() = any;
      }
    }
    if (collection.has_int64_list() || collection.has_float_list()) fewer = collection;
    if (fewer.kind_case() != tf::CollectionDef::KIND_NOT_SET) kept[key] = fewer;
  }
  *meta_graph->mutable_collection_def() = kept;
  google::protobuf::RepeatedPtrField<tf::AssetFileDef> assets;
  for (const tf::AssetFileDef& asset : meta_graph->asset_file_def()) {
    if (needed.Has(NodeOf(asset.tensor_info().name()))) *assets.Add() = asset;
  }
  *meta_graph->mutable_asset_file_def() = assets;
}

void Keep(const NeededNodes& needed, tf::MetaGraphDef* meta_graph) {
  KeepNodes(needed, meta_graph->mutable_graph_def());
  KeepCollections(needed, meta_graph);
}

std::size_t RestoredVariables(const tf::MetaGraphDef& meta_graph) {
  std::set<std::string> names = RestoredTensors(meta_graph);
  names.erase(std::string(tf::kObjectGraphProtoKey));
  return names.size();
}

// The number of each kind of object; nodes include those of functions.
std::vector<std::pair<std::string, std::size_t>> Count(const tf::MetaGraphDef& meta_graph) {
  const auto& functions = meta_graph.graph_def().library().function();
  int nodes = meta_graph.graph_def().node_size();
  for (const tf::FunctionDef& function : functions) nodes += function.node_def_size();
  return {{"nodes", static_cast<std::size_t>(nodes)},
          {"functions", static_cast<std::size_t>(functions.size())},
          {"variables", RestoredVariables(meta_graph)},
          {"assets", AssetFiles(meta_graph).size()}};
}

void KeepNeeded(tf::MetaGraphDef* meta_graph) {
  NeededNodes needed = Need(*meta_graph);
  const std::string& save = meta_graph->saver_def().save_tensor_name();
  if (!save.empty()) needed.AddEffects(NodeOf(save));
  Keep(needed, meta_graph);
}

void PruneMetaGraph(tf::MetaGraphDef* meta_graph) {
  meta_graph->mutable_signature_def()->erase(tf::kSavedModelTrainOpSignatureKey);
  tf::MetaGraphDef cut = *meta_graph;
  InlineSaver(&cut);
  ShrinkSaver(Need(cut), cut.mutable_graph_def());
  KeepNeeded(&cut);
  if (RestoredVariables(cut) < RestoredVariables(*meta_graph)) {
    meta_graph->Swap(&cut);
  } else {
    KeepNeeded(meta_graph);  // with the saver as it is
  }
  if (meta_graph->has_saver_def() && RestoredVariables(*meta_graph) == 0) {
    meta_graph->clear_saver_def();
    Keep(Need(*meta_graph), meta_graph);
  }
  std::set<std::string> functions;
  for (const tf::FunctionDef& function : meta_graph->graph_def().library().function()) {
    functions.insert(function.signature().name());
  }
  auto* aliases = meta_graph->mutable_meta_info_def()->mutable_function_aliases();
  for (const std::string& name : Keys(*aliases)) {
    if (functions.count(name) == 0) aliases->erase(name);
  }
}

}  // namespace

void Apply(const savedmodel::Prune&, State* state) {
  const auto& all = state->model.meta_graphs();
  const bool objects =
      std::any_of(all.begin(), all.end(), [](const auto& each) { return each.has_object_graph_def(); });
  Apply(DropObjectGraph{}, state);
  for (tf::MetaGraphDef& meta_graph : *state->model.mutable_meta_graphs()) {
    const auto before = Count(meta_graph);
    PruneMetaGraph(&meta_graph);
    const auto after = Count(meta_graph);
    std::string text;
    for (std::size_t i = 0; i < before.size(); ++i) {
      text += (i ? ", " : "pruned: ") + before[i].first + " " + std::to_string(before[i].second) + " -> " +
              std::to_string(after[i].second);
    }
    state->notes.push_back(text);
  }
  if (objects) {
    state->notes.emplace_back(
        "pruned: the object graph; tf.saved_model.load finds the signatures, and no other attributes");
  }
  state->pruned = true;
}

}  // namespace savedmodel::engine::edit
