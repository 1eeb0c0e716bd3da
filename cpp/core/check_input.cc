// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "core/model_state.h"

namespace savedmodel::internal {

bool Fits(const PartialShape& expected, const Shape& shape) {
  if (!expected) return true;
  if (expected->size() != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if ((*expected)[i] >= 0 && (*expected)[i] != shape[i]) return false;
  }
  return true;
}

namespace {

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
    throw UsageError(
        UsageError::Kind::kDType,
        label + ", output '" + spec.key + "': strings can't be written to a buffer; leave its Tensor empty");
  }
  Check(label, "the buffer for output", spec, buffer);
  if (!buffer.writable()) {
    throw UsageError(UsageError::Kind::kValue,
                     label + ", the buffer for output '" + spec.key + "' is read-only");
  }
}

void CheckDisjoint(const std::string& label, const std::vector<TensorSpec>& specs,
                   Span<const Tensor> buffers) {
  const auto begin = [&](std::size_t i) { return reinterpret_cast<std::uintptr_t>(buffers[i].data()); };
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const std::size_t size = buffers[i].byte_size();
    for (std::size_t j = 0; size > 0 && j < i; ++j) {
      if (buffers[j].byte_size() == 0) continue;
      if (begin(i) >= begin(j) + buffers[j].byte_size() || begin(j) >= begin(i) + size) continue;
      throw UsageError(UsageError::Kind::kValue, label + ": the buffers for the outputs '" + specs[j].key +
                                                     "' and '" + specs[i].key + "' overlap");
    }
  }
}

}  // namespace savedmodel::internal
