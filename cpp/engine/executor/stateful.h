// SPDX-License-Identifier: Apache-2.0
// Classifies ops that do more than compute: those that need a session, those with side effects, and those
// whose kernel holds state.
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

// True for a node that needs more of a session than its devices: references, messages, stored tensors.
bool NeedsSession(const tensorflow::Node& node);

// The ops, in the graph and in the functions that it calls, whose calls have side effects or differ: they
// write variables, draw random numbers, print.
std::vector<std::string> EffectsOf(const ExecutableGraph& graph);

// True if a kernel may look up the container of its step.
bool UsesStepContainer(const tensorflow::Node& node);

// Names tables that belong to their node's kernel, so that the session's kernels and those of executors find
// the same table.
void NameTables(tensorflow::GraphDef* graph);

// Kernels that hold the state of their op, such as a random generator's: one for each op of a model, shared
// by all executors.
class StatefulKernels {
 public:
  static bool Owns(const tensorflow::NodeDef& node, const tensorflow::OpDef& op);
  // Thread-safe. The kernel lives as long as this object, which must be destroyed before the device. Throws
  // Error.
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
