// SPDX-License-Identifier: Apache-2.0
// A loop or a branch whose functions are also lists of kernels.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/executor/sequential.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

class Nested {
 public:
  static bool Is(const tensorflow::Node& node);
  // Null if a function can't be a list of kernels. `graph` is the one of `node`. Throws Error.
  static std::unique_ptr<Nested> Make(const tensorflow::Node& node, const ExecutableGraph& graph,
                                      tensorflow::Device* device, StatefulKernels* stateful);
  // Changes the fields of the step's `params` that belong to an executor.
  void Run(tensorflow::OpKernelContext::Params* params, std::vector<tensorflow::Tensor> inputs,
           std::vector<tensorflow::Tensor>* outputs) const;
  // Adds those of its functions.
  void AddConstants(std::vector<GraphExecutor::Constant>* constants) const;
  const std::string& name() const { return name_; }
  const std::string& op() const { return op_; }

 private:
  enum class Kind { kWhile, kIf, kCase };
  Nested(Kind kind, std::string name, std::string op)
      : kind_(kind), name_(std::move(name)), op_(std::move(op)) {}
  void Loop(tensorflow::OpKernelContext::Params* params, std::vector<tensorflow::Tensor> state,
            std::vector<tensorflow::Tensor>* outputs) const;

  const Kind kind_;
  const std::string name_, op_;
  std::vector<std::unique_ptr<SequentialExecutor>> functions_;  // condition and body, or branches
};

}  // namespace savedmodel::engine
