// SPDX-License-Identifier: Apache-2.0
// RunMetadata -> Trace.
#pragma once

#include "savedmodel/trace.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace savedmodel::engine {

Trace ReadTrace(const tensorflow::RunMetadata& metadata);

}  // namespace savedmodel::engine
