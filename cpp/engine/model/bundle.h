// SPDX-License-Identifier: Apache-2.0
// Loading: the parts of tensorflow::LoadSavedModel, with our checks and devices between them.
#pragma once

#include <memory>
#include <string>

#include "core/engine.h"
#include "savedmodel/options.h"

namespace savedmodel::engine {

std::unique_ptr<internal::EngineModel> LoadBundle(const std::string& path, const LoadOptions& options);

}  // namespace savedmodel::engine
