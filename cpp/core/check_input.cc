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

[[noreturn]] void Refuse(UsageError::Kind kind, const std::string& label, const TensorSpec& spec,
                         const Tensor& tensor) {
  throw UsageError(kind, label + ", input '" + spec.key + "': expected " + spec.ToString() + ", got " +
                             DTypeName(tensor.dtype()) + " " + tensor.shape().ToString());
}

}  // namespace

void CheckInput(const std::string& label, const TensorSpec& spec, const Tensor& tensor) {
  if (tensor.dtype() != spec.dtype) Refuse(UsageError::Kind::kDType, label, spec, tensor);
  if (!Fits(spec.shape, tensor.shape())) Refuse(UsageError::Kind::kValue, label, spec, tensor);
}

}  // namespace savedmodel::internal
