// SPDX-License-Identifier: Apache-2.0
// A function of the saved object that is made a signature.
#pragma once

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

void Apply(const AddFunctionSignature& operation, State* state);

}  // namespace savedmodel::engine::edit
