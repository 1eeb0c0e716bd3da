// SPDX-License-Identifier: Apache-2.0
// The parallel loop of ops over the last axis of a tensor of any rank.
#pragma once

#include <cstdint>

#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

// work(x, rows, y), in as many threads as pay. `cost` is what an element takes, in nanoseconds.
template <typename Work>
void ForRows(tensorflow::OpKernelContext* context, std::int64_t columns, double cost, const Work& work) {
  const tensorflow::Tensor& input = context->input(0);
  tensorflow::Tensor* output = nullptr;
  OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, input.shape(), &output));
  const auto* x = static_cast<const float*>(input.data());
  auto* y = static_cast<float*>(output->data());
  if (input.NumElements() == 0) return;
  const std::int64_t rows = input.NumElements() / columns;
  ParallelFor(context, rows, static_cast<double>(columns) * cost, [&](std::int64_t begin, std::int64_t end) {
    work(x + begin * columns, end - begin, y + begin * columns);
  });
}

}  // namespace savedmodel::engine
