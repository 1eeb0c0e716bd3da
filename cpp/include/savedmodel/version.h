// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "savedmodel/export.h"

#define SAVEDMODEL_VERSION_MAJOR 0
#define SAVEDMODEL_VERSION_MINOR 1
#define SAVEDMODEL_VERSION_PATCH 0
#define SAVEDMODEL_VERSION "0.1.0"

namespace savedmodel {

// Version of the library that is linked, which may differ from the header's.
SAVEDMODEL_API const char* Version();

}  // namespace savedmodel
