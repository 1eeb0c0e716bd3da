// SPDX-License-Identifier: Apache-2.0
#include "engine/model/model_functions.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/objects/call_graph.h"
#include "engine/objects/object_tensors.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Keras 2 has functions of each layer: each would be optimized and its weights written once more.
constexpr std::size_t kMaxTraces = 32;

// A function may be called "__inference_<lambda>_6", or "größe"; nodes may not.
std::string NodeName(const std::string& function) {
  std::string name;
  for (const char c : function) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_') {
      name += c;
    } else {
      absl::StrAppend(&name, ".", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return name;
}

}  // namespace

ModelFunctions::ModelFunctions(const ModelSource& source, const tf::MetaGraphDef& meta_graph)
    : source_(source) {
  *meta_graph_.mutable_saver_def() = meta_graph.saver_def();
  *meta_graph_.mutable_asset_file_def() = meta_graph.asset_file_def();
  *meta_graph_.mutable_object_graph_def() = meta_graph.object_graph_def();
}

const SavedFunctions& ModelFunctions::list() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (list_ == nullptr) list_ = std::make_unique<const SavedFunctions>(meta_graph_.object_graph_def());
  return *list_;
}

// That of the session, which stays as it is; or one from the disk, while nothing needs a session.
std::shared_ptr<const tf::GraphDef> ModelFunctions::Graph(SharedSession& shared) {
  if (auto graph = shared.graph()) {
    graph_.reset();
    return graph;
  }
  if (graph_ == nullptr) {
    graph_ = std::make_shared<const tf::GraphDef>(std::move(*source_.ReadAgain().mutable_graph_def()));
  }
  return graph_;
}

Callee ModelFunctions::MakeCall(SharedSession& shared, const SavedFunction& function, std::size_t trace) {
  const ConcreteFunction& concrete = function.traces.at(trace);
  std::shared_ptr<const tf::GraphDef> graph;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    graph = Graph(shared);
    if (tensors_ == nullptr) {
      tensors_ = std::make_unique<const std::map<int, std::string>>(
          ObjectTensors(source_.path(), meta_graph_, *graph));
    }
  }
  const FunctionCall call = MakeFunctionCall(*graph, meta_graph_.object_graph_def(), *tensors_, concrete,
                                             "savedmodel/" + NodeName(concrete.name) + "/");
  std::vector<std::string> targets;
  if (call.outputs.empty()) targets.push_back(call.call);
  return {function.Label(trace), Flatten(call.inputs), Flatten(call.outputs), std::move(targets),
          MakeCallGraph(*graph, call, source_.full_device())};
}

std::vector<std::pair<const SavedFunction*, std::size_t>> ModelFunctions::ToSave(
    const std::optional<std::vector<std::string>>& paths) {
  std::vector<const SavedFunction*> functions;
  if (paths) {
    for (const std::string& path : *paths) functions.push_back(&list().Find(path));
  } else {
    std::size_t traces = 0;
    for (const auto& [path, function] : list().all()) traces += function.traces.size();
    for (const auto& [path, function] : list().all()) {
      const bool of_the_object = path.find('.') == std::string::npos;
      if (traces <= kMaxTraces || of_the_object) functions.push_back(&function);
    }
  }
  std::set<std::string> names;  // a trace may be that of several functions
  std::vector<std::pair<const SavedFunction*, std::size_t>> chosen;
  for (const SavedFunction* function : functions) {
    for (std::size_t i = 0; i < function->traces.size(); ++i) {
      if (names.insert(function->traces[i].name).second) chosen.emplace_back(function, i);
    }
  }
  return chosen;
}

}  // namespace savedmodel::engine
