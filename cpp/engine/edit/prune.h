// SPDX-License-Identifier: Apache-2.0
// Removes everything that no signature needs.
#pragma once

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

void Apply(const savedmodel::Prune& operation, State* state);

}  // namespace savedmodel::engine::edit
