// SPDX-License-Identifier: Apache-2.0
// Results without elements of oneDNN's convolutions and pools. Where no window fits into an image, these
// kernels return memory that they never wrote, or end the process; TensorFlow's other kernels return nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/util/padding.h"

namespace savedmodel::engine {

class EmptyWindow {
 public:
  // Null unless the node is a convolution or a pool of oneDNN.
  static std::unique_ptr<const EmptyWindow> Of(const tensorflow::NodeDef& node);

  // The shape of the result if no window fits into an image that has pixels; none for all other inputs, also
  // for those that the kernel refuses.
  std::optional<tensorflow::TensorShape> Result(absl::Span<const tensorflow::TensorValue> inputs) const;

 private:
  EmptyWindow() = default;
  // The size of the result along spatial axis `axis`; -1 if it can't be told.
  std::int64_t SizeOf(int axis, std::int64_t size, std::int64_t window) const;

  bool pools_ = false;
  bool depthwise_ = false;
  bool pads_ = false;  // the last input has the padding
  bool channels_last_ = true;
  tensorflow::Padding padding_ = tensorflow::VALID;
  std::vector<std::int64_t> windows_;  // of a pool
  std::vector<std::int64_t> strides_;
  std::vector<std::int64_t> dilations_;
  std::vector<std::int64_t> paddings_;  // explicit ones: before and after, for each axis
};

}  // namespace savedmodel::engine
