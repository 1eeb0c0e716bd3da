// SPDX-License-Identifier: Apache-2.0
// What no signature needs is removed.
#pragma once

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

void Apply(const savedmodel::Prune& operation, State* state);

}  // namespace savedmodel::engine::edit
