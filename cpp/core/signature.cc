// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/signature.h"

#include "core/with_errors.h"

namespace savedmodel {

using internal::WithErrors;

std::string PartialShapeToString(const PartialShape& shape) {
  if (!shape) return "<unknown>";
  return WithErrors("a shape", [&] {
    std::string text = "[";
    for (std::size_t i = 0; i < shape->size(); ++i) {
      const std::int64_t dim = (*shape)[i];
      text += (i ? ", " : "") + (dim < 0 ? std::string("?") : std::to_string(dim));
    }
    return text + "]";
  });
}

std::string TensorSpec::ToString() const {
  return WithErrors(key, [&] { return std::string(DTypeName(dtype)) + " " + PartialShapeToString(shape); });
}

std::vector<TensorSpec> Flatten(const std::vector<TensorSpec>& specs) {
  return WithErrors("a signature", [&] {
    std::vector<TensorSpec> flat;
    for (const TensorSpec& spec : specs) {
      if (spec.encoding == Encoding::kDense) {
        flat.push_back(spec);
      } else {
        for (const TensorSpec& part : Flatten(spec.components)) flat.push_back(part);
      }
    }
    return flat;
  });
}

}  // namespace savedmodel
