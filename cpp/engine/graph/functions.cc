// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/functions.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/graph/calls.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/kernel_def.pb.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kMustCompile[] = "_XlaMustCompile";
constexpr char kNoInline[] = "_noinline";

bool HasCpuKernel(const std::string& op) {
  const tf::KernelList kernels = tf::GetRegisteredKernelsForOp(op);
  return std::any_of(kernels.kernel().begin(), kernels.kernel().end(), [](const tf::KernelDef& kernel) {
    return kernel.device_type() == tf::DEVICE_CPU || kernel.device_type() == tf::DEVICE_DEFAULT;
  });
}

bool IsLoopOrBranch(const tf::NodeDef& node) { return IsLoop(node) || IsBranch(node); }

class Runnable {
 public:
  explicit Runnable(const tf::FunctionDefLibrary& library) : functions_(library) {}

  bool Has(const std::string& name) {
    const tf::FunctionDef* function = functions_.Find(name);
    if (function == nullptr) return false;
    const auto [entry, fresh] = known_.emplace(name, true);  // what calls itself changes nothing
    if (!fresh) return entry->second;
    const auto& nodes = function->node_def();
    const bool all = std::all_of(nodes.begin(), nodes.end(), [this](const tf::NodeDef& node) {
      const std::vector<std::string> called = CalledFunctions(node);
      return std::all_of(called.begin(), called.end(), [this](const auto& callee) { return Has(callee); }) &&
             (functions_.Find(node.op()) != nullptr ? Has(node.op()) : HasKernel(node.op()));
    });
    return known_[name] = all;
  }

 private:
  // TensorFlow goes through all of its kernels for each question.
  bool HasKernel(const std::string& op) {
    const auto [entry, fresh] = kernels_.emplace(op, false);
    if (fresh) entry->second = HasCpuKernel(op);
    return entry->second;
  }

  FunctionIndex functions_;
  std::unordered_map<std::string, bool> known_;
  std::unordered_map<std::string, bool> kernels_;
};

}  // namespace

void CompileNoFunctions(tf::GraphDef* graph) {
  Runnable runnable(graph->library());
  const auto clear = [&](google::protobuf::RepeatedPtrField<tf::NodeDef>* nodes) {
    for (tf::NodeDef& node : *nodes) {
      if (node.attr().count(kMustCompile) == 0) continue;
      const std::vector<std::string> called = CalledFunctions(node);
      const bool plain = std::all_of(called.begin(), called.end(),
                                     [&](const std::string& name) { return runnable.Has(name); });
      if (plain) node.mutable_attr()->erase(kMustCompile);
    }
  };
  clear(graph->mutable_node());
  for (tf::FunctionDef& function : *graph->mutable_library()->mutable_function()) {
    clear(function.mutable_node_def());
    auto& attributes = *function.mutable_attr();
    const bool marked = attributes.count(kMustCompile) > 0 || attributes.count(kNoInline) > 0;
    if (!marked || !runnable.Has(function.signature().name())) continue;
    attributes.erase(kMustCompile);
    attributes.erase(kNoInline);  // which comes with it
  }
}

void ClearDevicesInFunctions(tf::GraphDef* graph) {
  for (tf::FunctionDef& function : *graph->mutable_library()->mutable_function()) {
    for (tf::NodeDef& node : *function.mutable_node_def()) node.clear_device();
  }
}

bool HasLoops(const tf::GraphDef& graph) {
  return std::any_of(graph.node().begin(), graph.node().end(), IsLoopOrBranch);
}

void LowerLoops(tf::GraphDef* graph) {
  ForEachNode(graph, [](tf::NodeDef* node) {
    if (IsLoopOrBranch(*node)) (*node->mutable_attr())["_lower_using_switch_merge"].set_b(true);
  });
}

}  // namespace savedmodel::engine
