// SPDX-License-Identifier: Apache-2.0
// An edited SavedModel on disk.
#pragma once

#include <string>
#include <vector>

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

// The model, and those files of its source that it needs; a temporary sibling of `target` gets its name at
// the end. Returns what a user should know. Throws Error, also if `target` is the source, inside it or around
// it.
std::vector<std::string> Write(const State& state, const std::string& target, const EditOptions& options);

}  // namespace savedmodel::engine::edit
