// SPDX-License-Identifier: Apache-2.0
// The epilogue of a product or convolution: bias, addend and activation, applied before the result is stored.
#pragma once

#include <string>
#include <vector>

#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

// Tensors are names.
struct Epilogue {
  std::string bias;
  std::string addend;      // of the result's shape; empty: none
  std::string activation;  // as TensorFlow's fused ops call it, or ours (attributes.cc); empty: none
  float alpha = 0.2F;      // of LeakyRelu
};

// Bias and addend as inputs behind the others, and the attributes `num_addends`, `activation` and
// `leakyrelu_alpha`; `with_addends`: the op takes any.
void AddEpilogue(const Epilogue& epilogue, bool with_addends, tensorflow::NodeDef* node);

// Makes output 0. With `input`, which is the addend, in its memory if nobody else holds that; `*addend` is
// where its values are. `input` < 0: there is none.
absl::Status AllocateOutput(tensorflow::OpKernelContext* context, int input,
                            const tensorflow::TensorShape& shape, const float** addend,
                            tensorflow::Tensor** output);

}  // namespace savedmodel::engine
