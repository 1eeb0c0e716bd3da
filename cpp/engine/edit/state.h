// SPDX-License-Identifier: Apache-2.0
// The state of an edit in memory.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/edit/saved_object.h"
#include "savedmodel/edit.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"

namespace savedmodel::engine::edit {

struct State {
  std::string source;  // the directory
  tensorflow::SavedModel model;
  std::optional<TagSet> selected;
  std::map<TagSet, Captures> captures;  // as in the source, because edits inline the calls that identify them
  std::set<std::string> assets;         // files that the source's graphs name
  bool pruned = false;                  // if so, only the variables that the graphs restore are written
  std::vector<std::string> notes;       // notes for the user

  // Throws UsageError if none is selected.
  tensorflow::MetaGraphDef* Selected();
  const Captures& SelectedCaptures() const { return captures.at(selected.value()); }
};

}  // namespace savedmodel::engine::edit
