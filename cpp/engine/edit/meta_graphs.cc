// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/meta_graphs.h"

#include <vector>

#include "engine/base/names.h"
#include "engine/graph/signatures.h"
#include "savedmodel/error.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

std::string Text(const TagSet& tags) {
  std::string text;
  for (const std::string& tag : tags) text += (text.empty() ? "" : ", ") + tag;
  return text;
}

std::string NamedSet(const TagSet& tags) {
  return tags.empty() ? "without tags" : "with the tags {" + Text(tags) + "}";
}

void CheckFree(const TagSet& tags, const tf::SavedModel& model) {
  for (const tf::MetaGraphDef& meta_graph : model.meta_graphs()) {
    if (TagsOf(meta_graph) == tags) {
      throw UsageError(UsageError::Kind::kValue, "there is a MetaGraph " + NamedSet(tags) + " already");
    }
  }
  if (tags.count("") > 0) throw UsageError(UsageError::Kind::kValue, "a tag is empty");
}

void Set(const TagSet& tags, tf::MetaGraphDef* meta_graph) {
  meta_graph->mutable_meta_info_def()->clear_tags();
  for (const std::string& tag : tags) meta_graph->mutable_meta_info_def()->add_tags(tag);
}

// Without an object graph, tf.saved_model.load takes the init op's signature for a callable one, and fails if
// it reads assets. A collection names the init op for every loader.
void NameInitOpInCollection(tf::MetaGraphDef* meta_graph) {
  const std::string init_op = InitOpOf(*meta_graph);
  meta_graph->mutable_signature_def()->erase(tf::kSavedModelInitOpSignatureKey);
  if (init_op.empty()) return;
  tf::CollectionDef collection;
  collection.mutable_node_list()->add_value(init_op);
  (*meta_graph->mutable_collection_def())[tf::kSavedModelMainOpKey] = collection;
}

template <typename Nodes>
void ClearDevicesOf(Nodes* nodes) {
  for (tf::NodeDef& node : *nodes) node.clear_device();
}

}  // namespace

TagSet TagsOf(const tf::MetaGraphDef& meta_graph) {
  return {meta_graph.meta_info_def().tags().begin(), meta_graph.meta_info_def().tags().end()};
}

tf::MetaGraphDef* FindMetaGraph(const TagSet& tags, tf::SavedModel* model) {
  std::string known;
  std::vector<std::string> texts;
  for (tf::MetaGraphDef& meta_graph : *model->mutable_meta_graphs()) {
    if (TagsOf(meta_graph) == tags) return &meta_graph;
    texts.push_back(Text(TagsOf(meta_graph)));
    known += (known.empty() ? "{" : "; {") + texts.back() + "}";
  }
  const std::vector<std::string> near = Near(Text(tags), texts);
  throw UsageError(UsageError::Kind::kName,
                   "no MetaGraph " + NamedSet(tags) +
                       (near.empty() ? "; there are: " + known : "; did you mean {" + near[0] + "}?"));
}

std::optional<TagSet> DefaultTags(const tf::SavedModel& model) {
  if (model.meta_graphs_size() == 1) return TagsOf(model.meta_graphs(0));
  for (const tf::MetaGraphDef& meta_graph : model.meta_graphs()) {
    if (TagsOf(meta_graph) == TagSet{"serve"}) return TagsOf(meta_graph);
  }
  return std::nullopt;
}

tf::MetaGraphDef* State::Selected() {
  if (selected) return FindMetaGraph(*selected, &model);
  std::string known;
  for (const tf::MetaGraphDef& meta_graph : model.meta_graphs()) {
    known += (known.empty() ? "{" : "; {") + Text(TagsOf(meta_graph)) + "}";
  }
  throw UsageError(UsageError::Kind::kValue, "select a MetaGraph first; there are: " + known);
}

void Apply(const SelectMetaGraph& operation, State* state) {
  FindMetaGraph(operation.tags, &state->model);
  state->selected = operation.tags;
}

void Apply(const CopyMetaGraph& operation, State* state) {
  tf::SavedModel* model = &state->model;
  tf::MetaGraphDef* source = FindMetaGraph(operation.tags, model);
  CheckFree(operation.to, *model);
  // With two MetaGraphs, tf.saved_model.load ignores the object graph.
  if (source->has_object_graph_def()) NameInitOpInCollection(source);
  tf::MetaGraphDef copy = *source;
  Set(operation.to, &copy);
  *model->add_meta_graphs() = std::move(copy);
  state->captures[operation.to] = state->captures.at(operation.tags);
}

void Apply(const SetTags& operation, State* state) {
  tf::SavedModel* model = &state->model;
  tf::MetaGraphDef* meta_graph = FindMetaGraph(operation.tags, model);
  if (operation.tags == operation.to) return;
  CheckFree(operation.to, *model);
  Set(operation.to, meta_graph);
  state->captures[operation.to] = state->captures.at(operation.tags);
  if (state->selected == operation.tags) state->selected = operation.to;
}

void Apply(const DropMetaGraph& operation, State* state) {
  tf::SavedModel* model = &state->model;
  const tf::MetaGraphDef* meta_graph = FindMetaGraph(operation.tags, model);
  if (model->meta_graphs_size() == 1) {
    throw UsageError(UsageError::Kind::kValue, "the MetaGraph " + NamedSet(operation.tags) +
                                                   " is the only one, so it can't be removed");
  }
  for (int i = 0; i < model->meta_graphs_size(); ++i) {
    if (&model->meta_graphs(i) != meta_graph) continue;
    model->mutable_meta_graphs()->DeleteSubrange(i, 1);
    break;
  }
  if (state->selected == operation.tags) state->selected = DefaultTags(*model);
}

void Apply(const ClearDevices&, State* state) {
  tf::SavedModel* model = &state->model;
  for (tf::MetaGraphDef& meta_graph : *model->mutable_meta_graphs()) {
    ClearDevicesOf(meta_graph.mutable_graph_def()->mutable_node());
    for (tf::FunctionDef& function : *meta_graph.mutable_graph_def()->mutable_library()->mutable_function()) {
      ClearDevicesOf(function.mutable_node_def());
    }
    if (!meta_graph.has_object_graph_def()) continue;
    for (tf::SavedObject& object : *meta_graph.mutable_object_graph_def()->mutable_nodes()) {
      if (object.has_variable()) object.mutable_variable()->clear_device();
      if (object.has_resource()) object.mutable_resource()->clear_device();
    }
  }
}

void Apply(const DropObjectGraph&, State* state) {
  tf::SavedModel* model = &state->model;
  for (tf::MetaGraphDef& meta_graph : *model->mutable_meta_graphs()) {
    if (!meta_graph.has_object_graph_def()) continue;
    NameInitOpInCollection(&meta_graph);
    meta_graph.clear_object_graph_def();
  }
}

}  // namespace savedmodel::engine::edit
