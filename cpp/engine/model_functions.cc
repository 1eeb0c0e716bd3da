// SPDX-License-Identifier: Apache-2.0
#include "engine/model_functions.h"

#include <utility>
#include <vector>

#include "engine/function.h"
#include "engine/objects/call_graph.h"
#include "engine/objects/object_tensors.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

ModelFunctions::ModelFunctions(std::string path, std::string device, const tf::MetaGraphDef& meta_graph)
    : path_(std::move(path)), device_(std::move(device)) {
  *meta_graph_.mutable_saver_def() = meta_graph.saver_def();
  *meta_graph_.mutable_asset_file_def() = meta_graph.asset_file_def();
  *meta_graph_.mutable_object_graph_def() = meta_graph.object_graph_def();
}

const SavedFunctions& ModelFunctions::list() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (list_ == nullptr) list_ = std::make_unique<const SavedFunctions>(meta_graph_.object_graph_def());
  return *list_;
}

std::unique_ptr<internal::EngineFunction> ModelFunctions::Bind(const std::shared_ptr<SharedSession>& shared,
                                                               const SavedFunction& function,
                                                               std::size_t trace) {
  shared->session();  // which brings the graph
  const ConcreteFunction& concrete = function.traces.at(trace);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (tensors_ == nullptr) {
      tensors_ = std::make_unique<const std::map<int, std::string>>(
          ObjectTensors(path_, meta_graph_, shared->graph_def));
    }
  }
  const FunctionCall call = MakeFunctionCall(shared->graph_def, meta_graph_.object_graph_def(), *tensors_,
                                             concrete, "savedmodel/" + concrete.name + "/");
  std::vector<std::string> targets;
  if (call.outputs.empty()) targets.push_back(call.call);
  return BindFunction(shared, "function '" + function.path + "'", Flatten(call.inputs), Flatten(call.outputs),
                      targets, MakeCallGraph(shared->graph_def, call, device_));
}

}  // namespace savedmodel::engine
