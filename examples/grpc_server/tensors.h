// SPDX-License-Identifier: Apache-2.0
// The protocol's tensors <-> savedmodel::Tensor. Errors are savedmodel::Error in the protocol's terms.
#pragma once

#include <savedmodel/savedmodel.h>

#include <memory>
#include <string>

#include "inference.pb.h"

// Throws Error (kInvalidArgument).
[[noreturn]] void Refuse(const std::string& why);

// "FP32"; TensorFlow's own name where the protocol has none.
std::string DatatypeName(savedmodel::DType dtype);

// The input at `index`. Its memory is the request's, which `owner` keeps alive, unless elements have to be
// widened or narrowed.
savedmodel::Tensor DecodeInput(const inference::ModelInferRequest& request, int index,
                               const std::shared_ptr<const void>& owner);

// Adds an output and its raw contents.
void EncodeOutput(const std::string& name, const savedmodel::Tensor& tensor,
                  inference::ModelInferResponse* response);
