// SPDX-License-Identifier: Apache-2.0
// Edits of the selected MetaGraph's signatures. Each may throw UsageError after it has changed something.
#pragma once

#include "engine/edit/state.h"

namespace savedmodel::engine::edit {

// Throws UsageError if a signature can't have this name.
void CheckFree(const std::string& name, const tensorflow::MetaGraphDef& meta_graph);

void Apply(const AddSignature& operation, State* state);
void Apply(const RenameSignature& operation, State* state);
void Apply(const RemoveSignature& operation, State* state);
void Apply(const AddOutputs& operation, State* state);
void Apply(const KeepOutputs& operation, State* state);
void Apply(const SetMethodName& operation, State* state);

}  // namespace savedmodel::engine::edit
