// SPDX-License-Identifier: Apache-2.0
// Converts absl::Status to Error; the only place that does.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "savedmodel/error.h"

namespace savedmodel::engine {

// Throws Error with the status' code and "<context>: <message>" unless the status is ok.
void ThrowIfError(const absl::Status& status, const std::string& context = "");

}  // namespace savedmodel::engine
