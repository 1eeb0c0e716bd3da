// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "savedmodel/dtype.h"
#include "savedmodel/export.h"
#include "savedmodel/tensor.h"

namespace savedmodel {

// Dimensions, -1 if unknown; no value for an unknown rank.
using PartialShape = std::optional<std::vector<std::int64_t>>;

SAVEDMODEL_API std::string PartialShapeToString(const PartialShape& shape);  // "[?, 3]" or "<unknown>"

// How graph tensors represent one input or output of a signature (TensorInfo.encoding).
enum class Encoding {
  kDense,      // one tensor
  kSparse,     // components: indices, values, dense_shape
  kRagged,     // components: flat values, then row splits from the outermost to the innermost
  kComposite,  // any other composite tensor: its components in order
};

struct SAVEDMODEL_API TensorSpec {
  std::string key;   // in the signature ("image"); a component's is "<key>#indices", "<key>#0"
  std::string name;  // in the graph ("x:0"); empty if `encoding` is not kDense
  DType dtype = DType::kInvalid;
  PartialShape shape;
  Encoding encoding = Encoding::kDense;
  std::vector<TensorSpec> components;
  Tensor default_value;  // fed if an input is omitted; dtype() is kInvalid if there is none

  std::string ToString() const;  // "float32 [?, 3]"
};

struct Signature {
  std::string name;
  std::string method_name;
  std::vector<TensorSpec> inputs;  // sorted by key, which is the order of positional arguments
  std::vector<TensorSpec> outputs;
};

// The dense tensors of `specs`, in order: composites are replaced by their components.
SAVEDMODEL_API std::vector<TensorSpec> Flatten(const std::vector<TensorSpec>& specs);

}  // namespace savedmodel
