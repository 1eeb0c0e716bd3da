// SPDX-License-Identifier: Apache-2.0
// A SavedModel under edit: its protos in memory, and the operations on them.
#pragma once

#include <memory>
#include <string>

#include "core/engine.h"

namespace savedmodel::engine::edit {

std::unique_ptr<internal::EngineEdit> Open(const std::string& path);

}  // namespace savedmodel::engine::edit
