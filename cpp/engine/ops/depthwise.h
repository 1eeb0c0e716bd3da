// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution of float32 images, NHWC: the op, and what the bottleneck op shares with it.
#pragma once

#include <string>

#include "engine/kernels/image_kernels.h"
#include "engine/ops/attributes.h"
#include "engine/ops/epilogue.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

inline constexpr char kDepthwiseOp[] = "_SavedmodelDepthwise";

// `convolution`: one in NHWC without dilations, also a Conv2D with a group for each channel; `filter` is
// [height, width, channels, 1].
tensorflow::NodeDef DepthwiseNode(const tensorflow::NodeDef& convolution, const std::string& filter,
                                  const Epilogue& epilogue);

class DepthwiseAttributes {
 public:
  absl::Status Read(tensorflow::OpKernelConstruction* context);
  const ImagePadding& padding() const { return padding_; }
  // All of `image` but for `x` and `y`, and its result's height, for images of these sizes.
  absl::Status Apply(std::int64_t height, std::int64_t width, const tensorflow::Tensor& filter,
                     const tensorflow::Tensor& bias, DepthwiseImage* image, std::int64_t* out_height) const;

 private:
  std::int64_t stride_height_ = 1, stride_width_ = 1;
  ImagePadding padding_;
  Activation activation_ = Activation::kNone;
  float alpha_ = 0;
};

// All rows of `images` images, in the device's threads; `image` is the first of them.
void DepthwiseImages(tensorflow::OpKernelContext* context, const DepthwiseImage& image, std::int64_t images,
                     std::int64_t out_height);

}  // namespace savedmodel::engine
