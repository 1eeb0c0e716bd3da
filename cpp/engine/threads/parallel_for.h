// SPDX-License-Identifier: Apache-2.0
// A parallel loop for our own kernels.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "engine/threads/stop.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

// How many threads a kernel may use just now, the caller's among them: 1 where others call the model at once,
// or other processes want the cores.
int UsableThreads(tensorflow::OpKernelContext* context);

// Whether the run that the kernel belongs to shall end; in the thread that runs the kernel. It costs nothing
// worth saving, but asking it does: about 20 ns in a thread that can be interrupted.
Stop StopOf(tensorflow::OpKernelContext* context);

// A kernel that stopped half-way has this error. True if it did.
bool EndIfStopped(tensorflow::OpKernelContext* context, const Stop& stop);

// Runs work(begin, end) for parts of [0, count), here and in the device's intra-op threads, and returns when
// all is done. `cost` is what one item takes, in nanoseconds: loops of a few microseconds stay here. Parts
// must not wait for each other; where they begin depends on nothing but the arguments and the thread count.
// Once the run shall end, parts that have not begun are left out, and the kernel has failed.
void ParallelFor(tensorflow::OpKernelContext* context, std::int64_t count, double cost,
                 absl::FunctionRef<void(std::int64_t begin, std::int64_t end)> work);

// The same for what is made once and kept: all parts run, whatever becomes of the run. It leaves a service's
// threads alone, for these may be the ones that wait for the result.
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
