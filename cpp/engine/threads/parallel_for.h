// SPDX-License-Identifier: Apache-2.0
// A parallel loop for savedmodel's own kernels.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "engine/threads/stop.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

// How many threads a kernel may use now, including the caller's: 1 if others call the model concurrently or
// other processes want the cores.
int UsableThreads(tensorflow::OpKernelContext* context);

// Whether the kernel's run must end; call it in the kernel's thread. Creating it is free, but asking costs
// about 20 ns in a thread that can be interrupted.
Stop StopOf(tensorflow::OpKernelContext* context);

// If the run must end, sets the kernel's error and returns true.
bool EndIfStopped(tensorflow::OpKernelContext* context, const Stop& stop);

// Runs work(begin, end) for parts of [0, count), here and in the device's intra-op threads, and returns when
// all is done. `cost` is the time of one item in nanoseconds; loops of a few microseconds stay here. Parts
// must not wait for each other. Their limits depend only on the arguments and the thread count. Once the run
// must end, parts that have not begun are skipped, and the kernel has failed.
void ParallelFor(tensorflow::OpKernelContext* context, std::int64_t count, double cost,
                 absl::FunctionRef<void(std::int64_t begin, std::int64_t end)> work);

// The same for data that is made once and kept: all parts run, even if the run ends. Does not use a service's
// threads, which may be the ones that wait for the result.
void PackFor(tensorflow::OpKernelContext* context, std::int64_t count, double cost,
             absl::FunctionRef<void(std::int64_t begin, std::int64_t end)> work);

// These two as what kernels that know no TensorFlow are given.
struct ParallelLoop {
  tensorflow::OpKernelContext* context;
  template <typename Work>
  void operator()(std::int64_t count, double cost, const Work& work) const {
    ParallelFor(context, count, cost, work);
  }
};
struct PackingLoop {
  tensorflow::OpKernelContext* context;
  template <typename Work>
  void operator()(std::int64_t count, double cost, const Work& work) const {
    PackFor(context, count, cost, work);
  }
};

}  // namespace savedmodel::engine
