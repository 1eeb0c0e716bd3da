// SPDX-License-Identifier: Apache-2.0
// Parses the attributes that the custom ops share, named as TensorFlow's.
#pragma once

#include <string>
#include <vector>

#include "engine/kernels/gemm_strip.h"
#include "engine/kernels/vector_kernels.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/padding.h"

namespace savedmodel::engine {

// `activation` and `leakyrelu_alpha`, behind this prefix. The activation is one that TensorFlow's fused ops
// have, or ours; empty is none.
absl::Status ReadActivation(tensorflow::OpKernelConstruction* context, const std::string& prefix,
                            Activation* activation, float* alpha);

// Values of the attribute `precision`; empty is float32.
inline constexpr char kPrecision[] = "precision";
inline constexpr char kBf16[] = "bf16";
inline constexpr char kInt8[] = "int8";
// The kernel for `precision`, or, if this machine has none, that for float32.
absl::Status ReadGemmKernel(tensorflow::OpKernelConstruction* context, const GemmKernel** kernel);

// `padding` and `explicit_paddings`, of images with the channels last.
class ImagePadding {
 public:
  absl::Status Read(tensorflow::OpKernelConstruction* context);
  // With what the attributes add around it.
  tensorflow::TensorShape Padded(tensorflow::TensorShape image) const;
  // How many windows there are along an axis of the image, and what is added before it.
  absl::Status Windows(int axis, std::int64_t size, std::int64_t window, std::int64_t stride,
                       std::int64_t* count, std::int64_t* before) const;

 private:
  tensorflow::Padding padding_ = tensorflow::VALID;
  std::vector<std::int64_t> explicit_;
};

// oneDNN's convolutions, which ours replace, give an image of no elements back in its own shape.
bool ConvolvesNothing(const tensorflow::TensorShape& padded_image);

}  // namespace savedmodel::engine
