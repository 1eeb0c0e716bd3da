// SPDX-License-Identifier: Apache-2.0
// Ops that do more than compute their outputs: what only a session can run, and whose state a kernel holds.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "engine/graph/executable_graph.h"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {

// True for what needs more of a session than its devices: references, messages, tensors that it keeps.
bool NeedsSession(const tensorflow::Node& node);

// The ops, in the graph and in the functions that it calls, whose calls leave something behind or differ:
// they write variables, draw random numbers, print.
std::vector<std::string> EffectsOf(const ExecutableGraph& graph);

// True if a kernel may look for the container of its step.
bool UsesStepContainer(const tensorflow::Node& node);

// Tables that belong to their node's kernel get a name of their own, under which the session's kernels and
// those of executors find the same table.
void NameTables(tensorflow::GraphDef* graph);

// Kernels that hold the state of their op, such as a random generator's: one for each op of a model, whatever
// executors run it.
class StatefulKernels {
 public:
  static bool Owns(const tensorflow::NodeDef& node, const tensorflow::OpDef& op);
  // Thread-safe. The kernel lives as long as this, which must go before the device. Throws Error.
  tensorflow::OpKernel* Find(tensorflow::Device* device,
                             const std::shared_ptr<const tensorflow::NodeProperties>& properties,
                             int graph_version);
  bool Holds(const tensorflow::OpKernel* kernel);
  void Clear();

 private:
  using Key = std::tuple<tensorflow::Device*, std::string, std::string, std::string>;  // op, types, name
  std::mutex mutex_;
  std::map<Key, std::unique_ptr<tensorflow::OpKernel>> kernels_;
};

}  // namespace savedmodel::engine
