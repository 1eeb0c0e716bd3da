// SPDX-License-Identifier: Apache-2.0
// Writes an edited SavedModel to disk.
#pragma once

#include <string>
#include <vector>

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

// Writes the model and the files of its source that it needs, to a temporary sibling of `target` that is
// renamed at the end. Returns notes for the user. Throws Error, also if `target` is the source, inside it or
// around it.
std::vector<std::string> Write(const State& state, const std::string& target, const EditOptions& options);

}  // namespace savedmodel::engine::edit
