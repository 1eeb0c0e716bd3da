// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/epilogue.h"

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

void AddEpilogue(const Epilogue& epilogue, bool with_addends, tf::NodeDef* node) {
  node->add_input(epilogue.bias);
  if (!epilogue.addend.empty()) node->add_input(epilogue.addend);
  auto& attributes = *node->mutable_attr();
  if (with_addends) attributes["num_addends"].set_i(epilogue.addend.empty() ? 0 : 1);
  attributes["activation"].set_s(epilogue.activation);
  attributes["leakyrelu_alpha"].set_f(epilogue.alpha);
}

absl::Status AllocateOutput(tf::OpKernelContext* context, int input, const tf::TensorShape& shape,
                            const float** addend, tf::Tensor** output) {
  if (input < 0) return context->allocate_output(0, shape, output);
  const tf::Tensor& given = context->input(input);
  if (given.shape() != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat("an addend of ", given.shape().DebugString(), " for ", shape.DebugString()));
  }
  *addend = static_cast<const float*>(given.data());
  return context->forward_input_or_allocate_output({input}, 0, shape, output);
}

}  // namespace savedmodel::engine
