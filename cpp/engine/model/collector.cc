// SPDX-License-Identifier: Apache-2.0
#include "engine/model/collector.h"

#include <mutex>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/graph/plan.h"
#include "engine/graph/variable_use.h"
#include "engine/model/prepare.h"
#include "tensorflow/cc/saved_model/loader_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

std::set<std::string> InitializedVariables(const std::string& path, const tf::MetaGraphDef& meta_graph) {
  std::string init_op;
  ThrowIfError(tf::internal::GetInitOp(path, meta_graph, &init_op), Quote(path));
  if (init_op.empty()) return {};
  return WrittenVariables(meta_graph.graph_def(), {TensorRef::Parse(init_op).ToString()});
}

void Collector::Add(const std::string& label, const std::function<Callee()>& make) {
  try {
    Callee callee = make();
    const CallPlan plan(callee.call == nullptr ? shared_->index() : callee.call->index, label, &callee.inputs,
                        &callee.outputs, callee.targets);
    if (plan.graph.fetches.empty()) return;
    ConstantPool pool;
    OptimizedFunction function{plan.graph, {}, {}, false, {}};
    function.report.function = label;
    const std::lock_guard<std::mutex> lock(shared_->prepared.mutex);
    const std::shared_ptr<tf::Session> session = shared_->Borrow();  // for the graph
    function.isolated = IsolateFunction(*shared_, callee.call.get(), plan.graph);
    OptimizeFunction(shared_, kept_, &pool, &function.isolated, &function.frozen, &function.report);
    writer_.Add(std::move(function), pool);
  } catch (const Error& error) {
    why_not_ += (why_not_.empty() ? "; " : ", ") + label + ": " + error.what();
  }
}

}  // namespace savedmodel::engine
