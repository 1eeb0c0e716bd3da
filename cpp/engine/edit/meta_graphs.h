// SPDX-License-Identifier: Apache-2.0
// Edits a SavedModel's MetaGraphs: their number, tags, devices and object graphs.
#pragma once

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

TagSet TagsOf(const tensorflow::MetaGraphDef& meta_graph);

// Throws UsageError that lists the existing tag sets.
tensorflow::MetaGraphDef* FindMetaGraph(const TagSet& tags, tensorflow::SavedModel* model);

// {serve}, or the only one.
std::optional<TagSet> DefaultTags(const tensorflow::SavedModel& model);

void Apply(const SelectMetaGraph& operation, State* state);
void Apply(const CopyMetaGraph& operation, State* state);
void Apply(const SetTags& operation, State* state);
void Apply(const DropMetaGraph& operation, State* state);
void Apply(const ClearDevices& operation, State* state);
void Apply(const DropObjectGraph& operation, State* state);

}  // namespace savedmodel::engine::edit
