// SPDX-License-Identifier: Apache-2.0
// TensorProto <-> savedmodel::Tensor. Errors are savedmodel::Error in the client's terms.
#pragma once

#include <memory>
#include <string>

#include "dispatcher.h"
#include "tensorflow.pb.h"

namespace server {

// Its memory is the message's, which `owner` keeps, where that is possible.
savedmodel::Tensor FromProto(const std::string& name, const tensorflow::TensorProto& proto,
                             const std::shared_ptr<const void>& owner);
// Values in the field of their type.
void ToProto(const savedmodel::Tensor& tensor, tensorflow::TensorProto* proto);
void ToProto(const savedmodel::TensorSpec& spec, tensorflow::TensorInfo* info);
std::string NameOf(tensorflow::DataType type);

}  // namespace server
