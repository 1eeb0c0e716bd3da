// SPDX-License-Identifier: Apache-2.0
#include "core/model_state.h"

namespace savedmodel::internal {
namespace {

bool Fits(const PartialShape& expected, const Shape& shape) {
  if (!expected) return true;
  if (expected->size() != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if ((*expected)[i] >= 0 && (*expected)[i] != shape[i]) return false;
  }
  return true;
}

[[noreturn]] void Refuse(UsageError::Kind kind, const std::string& label, const char* what,
                         const TensorSpec& spec, const Tensor& tensor) {
  throw UsageError(kind, label + ", " + what + " '" + spec.key + "': expected " + spec.ToString() + ", got " +
                             DTypeName(tensor.dtype()) + " " + tensor.shape().ToString());
}

void Check(const std::string& label, const char* what, const TensorSpec& spec, const Tensor& tensor) {
  if (tensor.dtype() != spec.dtype) Refuse(UsageError::Kind::kDType, label, what, spec, tensor);
  if (!Fits(spec.shape, tensor.shape())) Refuse(UsageError::Kind::kValue, label, what, spec, tensor);
}

}  // namespace

void CheckInput(const std::string& label, const TensorSpec& spec, const Tensor& tensor) {
  Check(label, "input", spec, tensor);
}

void CheckBuffer(const std::string& label, const TensorSpec& spec, const Tensor& buffer) {
  if (buffer.dtype() == DType::kString) {
    throw UsageError(UsageError::Kind::kDType,
                     label + ", output '" + spec.key + "': strings have no buffer; leave its Tensor empty");
  }
  Check(label, "the buffer for output", spec, buffer);
  if (!buffer.writable()) {
    throw UsageError(UsageError::Kind::kValue,
                     label + ", the buffer for output '" + spec.key + "' is read-only");
  }
}

}  // namespace savedmodel::internal
