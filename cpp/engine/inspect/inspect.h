// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "savedmodel/inspect.h"

namespace savedmodel::engine {

Inspection InspectSavedModel(const std::string& path);

}  // namespace savedmodel::engine
