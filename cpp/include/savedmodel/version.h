// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "savedmodel/export.h"

// The single source of the version: CMake and Python's build read it here.
#define SAVEDMODEL_VERSION_MAJOR 0
#define SAVEDMODEL_VERSION_MINOR 1
#define SAVEDMODEL_VERSION_PATCH 0

#define SAVEDMODEL_VERSION_JOINED_(major, minor, patch) #major "." #minor "." #patch
#define SAVEDMODEL_VERSION_JOINED(major, minor, patch) SAVEDMODEL_VERSION_JOINED_(major, minor, patch)
#define SAVEDMODEL_VERSION \
  SAVEDMODEL_VERSION_JOINED(SAVEDMODEL_VERSION_MAJOR, SAVEDMODEL_VERSION_MINOR, SAVEDMODEL_VERSION_PATCH)

namespace savedmodel {

// Version of the linked library, which may differ from the headers'.
SAVEDMODEL_API const char* Version();

}  // namespace savedmodel
