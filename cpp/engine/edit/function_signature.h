// SPDX-License-Identifier: Apache-2.0
// Makes a signature of a function of the saved object.
#pragma once

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

void Apply(const AddFunctionSignature& operation, State* state);

}  // namespace savedmodel::engine::edit
