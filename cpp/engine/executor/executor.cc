// SPDX-License-Identifier: Apache-2.0
#include "engine/executor/executor.h"

#include <atomic>
#include <utility>

#include "engine/executor/control_flow.h"
#include "engine/executor/sequential.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
std::unique_ptr<GraphExecutor> MakeExecutor(ExecutableGraph graph, tf::Device* device,
                                            const ConstantPool* pool, StatefulKernels* stateful,
                                            std::string* why_not, bool only_kernels) {
  bool control_flow = false;
  for (const tf::Node* node : graph.graph->op_nodes()) {
    control_flow |= node->IsControlFlow();
    if (!NeedsSession(*node)) continue;
    *why_not = "op '" + node->type_string() + "' (node '" + node->name() + "')";
    return nullptr;
  }
  if (!control_flow) {
    if (auto sequential = SequentialExecutor::Make(&graph, device, pool, stateful)) return sequential;
  }
  if (only_kernels) return nullptr;
  return std::make_unique<ControlFlowExecutor>(std::move(graph), device, pool, stateful);
}

std::int64_t NextStepId() {
  static std::atomic<std::int64_t> last{0};
  return ++last;
}

}  // namespace savedmodel::engine
