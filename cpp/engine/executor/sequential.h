// SPDX-License-Identifier: Apache-2.0
// Runs a graph as a list of kernels, one after the other, in the caller's thread; loops and branches have
// their own lists. For small graphs a session takes ten times as long: it counts pending inputs, queues ready
// nodes and copies every tensor from edge to edge.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/executor/executor.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

class EmptyWindow;
class Nested;

class SequentialExecutor : public GraphExecutor {
 public:
  // Returns null, with `graph` unchanged, if a kernel waits for something. Throws Error.
  static std::unique_ptr<SequentialExecutor> Make(ExecutableGraph* graph, tensorflow::Device* device,
                                                  const ConstantPool* pool, StatefulKernels* stateful);
  const char* name() const override { return "sequential"; }
  const tensorflow::Device& device() const override { return *device_; }
  void Run(const std::vector<tensorflow::Tensor>& feeds, std::vector<tensorflow::Tensor>* fetched,
           tensorflow::CancellationManager* cancellation) const override;
  // Runs as a part of an active step. Changes the fields of `params` that belong to an executor.
  void RunIn(tensorflow::OpKernelContext::Params* params, const std::vector<tensorflow::Tensor>& feeds,
             std::vector<tensorflow::Tensor>* fetched) const;
  std::optional<std::vector<Constant>> Constants() const override;
  std::vector<TraceNode> Nodes() const override;
  ~SequentialExecutor() override;

 private:
  using Slot = std::int32_t;  // feeds first, then the kernels' outputs; constants are negative
  struct Step {
    tensorflow::OpKernel* kernel;  // or
    const Nested* nested;
    const EmptyWindow* window;  // null: the kernel takes all inputs
    Slot first_output;
    std::int32_t outputs;
    std::int32_t first_input;  // in inputs_
    std::int32_t inputs;
    std::int32_t first_release;  // in releases_
    std::int32_t releases;
    std::int32_t first_unguard;  // in unguards_
    std::int32_t unguards;

    const std::string& name() const;
    const std::string& op() const;
  };
  struct Values;
  class Lease;

  SequentialExecutor(ExecutableGraph graph, tensorflow::Device* device);
  bool Plan(const std::vector<tensorflow::Node*>& order, const ConstantPool* pool, StatefulKernels* stateful);
  tensorflow::OpKernel* MakeKernel(const tensorflow::Node& node, StatefulKernels* stateful);
  void AddConstant(const tensorflow::Tensor& value, std::vector<Slot>* outputs);
  void PlanLifetimes();
  // Returns false if the node's functions can't be lists of kernels.
  bool AddNested(const tensorflow::Node& node, StatefulKernels* stateful, Step* step);
  void RunNested(const Step& step, tensorflow::OpKernelContext::Params* params, Values* values) const;
  void Keep(std::size_t slot, tensorflow::Tensor* result, Values* values) const;
  void Compute(const Step& step, tensorflow::OpKernelContext::Params* params, Values* values) const;

  ExecutableGraph graph_;
  tensorflow::Device* device_;
  std::vector<std::unique_ptr<tensorflow::OpKernel>> kernels_;  // kernels that no other executor has
  std::vector<std::unique_ptr<const Nested>> nested_;
  std::vector<std::unique_ptr<const EmptyWindow>> windows_;
  std::vector<tensorflow::Tensor> constants_;
  // A second reference to each, so that no kernel overwrites a constant.
  std::vector<tensorflow::Tensor> constant_pins_;
  std::vector<Step> steps_;
  std::vector<Slot> inputs_;
  std::vector<Slot> releases_;  // values that no later step reads
  std::vector<Slot> unguards_;  // guards to drop before a step that reads the value last, and may overwrite
                                // it
  std::vector<bool> required_;  // by slot: true if something reads it
  std::vector<std::int32_t> guard_of_;  // by slot: the guard of a value read more than once, or -1
  std::vector<Slot> fetches_;
  std::vector<bool> fetch_is_last_;  // by fetch: true if nothing else needs the value
  std::int32_t feed_count_ = 0;
  std::int32_t slot_count_ = 0;
  std::int32_t guard_count_ = 0;
  std::int32_t max_inputs_ = 0;
  bool uses_container_ = false;                              // the step's container
  std::vector<tensorflow::AllocatorAttributes> attributes_;  // as many as a step has inputs or outputs
};

}  // namespace savedmodel::engine
