// SPDX-License-Identifier: Apache-2.0
// Runs a graph with loops, branches or waiting kernels in TensorFlow's executor, in the caller's thread.
#pragma once

#include <memory>
#include <vector>

#include "engine/executor/executor.h"
#include "tensorflow/core/common_runtime/executor.h"

namespace savedmodel::engine {

class ControlFlowExecutor : public GraphExecutor {
 public:
  ControlFlowExecutor(ExecutableGraph graph, tensorflow::Device* device, const ConstantPool* pool,
                      StatefulKernels* stateful);
  const char* name() const override { return "control flow"; }
  const tensorflow::Device& device() const override { return *device_; }
  void Run(const std::vector<tensorflow::Tensor>& feeds, std::vector<tensorflow::Tensor>* fetched,
           tensorflow::CancellationManager* cancellation) const override;

 private:
  ExecutableGraph graph_;
  tensorflow::Device* device_;
  int fetches_ = 0;
  bool calls_ = false;  // whether it has functions, which may send each other tensors
  std::unique_ptr<tensorflow::Executor> executor_;
};

}  // namespace savedmodel::engine
