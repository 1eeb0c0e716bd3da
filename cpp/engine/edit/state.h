// SPDX-License-Identifier: Apache-2.0
// What an edit has in memory.
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
  std::map<TagSet, Captures> captures;  // as the source has them: edits inline the calls that tell of them
  std::set<std::string> assets;         // files that the source's graphs name
  bool pruned = false;                  // then only what the graphs restore is written of the variables
  std::vector<std::string> notes;       // what a user should know

  // Throws UsageError if none is selected.
  tensorflow::MetaGraphDef* Selected();
  const Captures& SelectedCaptures() const { return captures.at(selected.value()); }
};

}  // namespace savedmodel::engine::edit
