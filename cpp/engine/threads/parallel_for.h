// SPDX-License-Identifier: Apache-2.0
// A parallel loop for our own kernels.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

// How many threads a kernel may use just now, the caller's among them: 1 where others call the model at once,
// or other processes want the cores.
int UsableThreads(tensorflow::OpKernelContext* context);

// Runs work(begin, end) for parts of [0, count), here and in the device's intra-op threads, and returns when
// all is done. `cost` is what one item takes, in nanoseconds: loops of a few microseconds stay here. Parts
// must not wait for each other; where they begin depends on nothing but the arguments and the thread count.
void ParallelFor(tensorflow::OpKernelContext* context, std::int64_t count, double cost,
                 absl::FunctionRef<void(std::int64_t begin, std::int64_t end)> work);

}  // namespace savedmodel::engine
