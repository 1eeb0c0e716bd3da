// SPDX-License-Identifier: Apache-2.0
// Weights beside the graph. A GraphDef holds tensors as bytes, which each pass of an optimizer copies, and no
// more than 2 GB of them; so large constants are nodes of an op of their own, with the number of a tensor.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

// No inputs; attributes dtype, shape and number.
inline constexpr char kPooledConstantOp[] = "_SavedmodelConstant";

class ConstantPool {
 public:
  // Bytes from which a constant is pooled.
  static constexpr std::size_t kLarge = 16384;
  static bool Takes(const tensorflow::Tensor& value);

  // Fills `node`, which has a name only.
  void Add(const tensorflow::Tensor& value, tensorflow::NodeDef* node);
  // Gives `value` the next number, for nodes that have it already.
  void Append(const tensorflow::Tensor& value) { values_.push_back(value); }
  static void SetNumber(std::int64_t number, tensorflow::NodeDef* node);
  // Of a node of kPooledConstantOp, or of one that AsConst made of it; null for others.
  const tensorflow::Tensor* Find(const tensorflow::NodeDef& node) const;
  // All values, in the order of their numbers; what takes the place of one has its type, shape and bytes.
  std::vector<tensorflow::Tensor>& values() { return values_; }
  // For a value that may come back as a small constant: Same finds it, so that its memory is shared.
  void Remember(const tensorflow::Tensor& value) { remembered_.push_back(value); }
  const tensorflow::Tensor& Same(const tensorflow::Tensor& constant) const;
  // Turns pooled constants into Const nodes of the right type and shape whose value is all zeros and which
  // Find still knows, for TensorFlow treats Const nodes specially. Their consumers must get the pooled value.
  static void AsConst(tensorflow::GraphDef* graph);

 private:
  std::vector<tensorflow::Tensor> values_;
  std::vector<tensorflow::Tensor> remembered_;
};

}  // namespace savedmodel::engine
