// SPDX-License-Identifier: Apache-2.0
// Reading a variable's value.
#pragma once

#include <optional>
#include <string>

#include "engine/graph/graph.h"
#include "savedmodel/signature.h"
#include "savedmodel/tensor.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

// A resource variable on a CPU is viewed in place (TensorFlow writes a shared one anew); one on another
// device, and a v1 reference variable, is copied. Throws Error for one that was never given a value.
// `spec.name` is the variable's node.
Tensor ReadVariableValue(tensorflow::Session& session, const tensorflow::DeviceMgr& devices,
                         const TensorSpec& spec, const GraphIndex::Variable& place,
                         const tensorflow::RunOptions& run_options);

// The variable's own tensor, on its device; a copy, and `*in_place` true, if sparse updates change that under
// a reader's eyes. None if nothing initialised it.
std::optional<tensorflow::Tensor> FindVariable(tensorflow::Device* device, const std::string& container,
                                               const std::string& name, bool* in_place);

// Where the value of a resource variable is, and its bytes; null and 0 if there is none.
std::pair<const void*, std::size_t> BytesOfVariable(tensorflow::Device* device, const std::string& container,
                                                    const std::string& name);

// Frees the value of a resource variable on a CPU, which nothing may read any more.
void FreeVariable(tensorflow::Device* device, const std::string& container, const std::string& name);

}  // namespace savedmodel::engine
