// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/plan.h"

#include <algorithm>

#include "engine/graph/op_libraries.h"
#include "savedmodel/error.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

void RefuseHandle(const TensorSpec& spec, const std::string& what) {
  if (spec.dtype != DType::kResource && spec.dtype != DType::kVariant) return;
  throw Error(Code::kUnimplemented,
              what + " is a " + DTypeName(spec.dtype) + " handle, which has no value outside of TensorFlow");
}

// Completes `spec` with what the graph says of its tensor.
TensorRef Resolve(const GraphIndex& graph, const std::string& what, TensorSpec* spec) {
  TensorRef name = TensorRef::Parse(spec->name);
  spec->name = name.ToString();
  const DType dtype = graph.TypeOf(name, what);
  if (dtype != DType::kInvalid) spec->dtype = dtype;
  RefuseHandle(*spec, what);
  return name;
}

std::size_t IndexOf(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

}  // namespace

std::vector<std::string> FunctionGraph::ends() const {
  std::vector<std::string> all = fetches;
  for (const std::string& target : targets) all.push_back(target + ":0");
  return all;
}

CallPlan::CallPlan(const GraphIndex& index, const std::string& label, std::vector<TensorSpec>* inputs,
                   std::vector<TensorSpec>* outputs, const std::vector<std::string>& targets) {
  for (std::size_t i = 0; i < inputs->size(); ++i) {
    TensorSpec& spec = (*inputs)[i];
    Resolve(index, label + ", input '" + spec.key + "'", &spec);
    const std::size_t feed = IndexOf(graph.feeds, spec.name);
    if (feed < graph.feeds.size()) {
      same_feeds.emplace_back(feed_inputs[feed], i);
      continue;
    }
    graph.feeds.push_back(spec.name);
    graph.feed_types.push_back(static_cast<tf::DataType>(spec.dtype));
    feed_inputs.push_back(i);
  }
  std::vector<TensorRef> names;
  for (TensorSpec& spec : *outputs) {
    const TensorRef name = Resolve(index, label + ", output '" + spec.key + "'", &spec);
    const std::size_t feed = IndexOf(graph.feeds, spec.name);
    if (feed < graph.feeds.size()) {
      sources.push_back({true, feed});
      continue;
    }
    const std::size_t fetch = IndexOf(graph.fetches, spec.name);
    sources.push_back({false, fetch});
    if (fetch == graph.fetches.size()) {
      graph.fetches.push_back(spec.name);
      graph.fetch_types.push_back(static_cast<tf::DataType>(index.TypeOf(name, label)));
      names.push_back(name);
      fetch_uses.push_back(0);
    }
    ++fetch_uses[fetch];
  }
  for (const std::string& target : targets) {
    const TensorRef name = TensorRef::Parse(target);
    if (!index.Has(name.node)) {
      throw Error(Code::kNotFound, label + ": the graph has no op '" + name.node + "'");
    }
    if (IndexOf(graph.targets, name.node) < graph.targets.size()) continue;
    graph.targets.push_back(name.node);
    names.push_back(name);
  }
  RefuseMissingOps(label, index.MissingOps(names));
  const std::string keeper = index.InputKeeper(names);
  if (!keeper.empty()) copies_because = "the run may keep or change its inputs (" + keeper + ")";
}

}  // namespace savedmodel::engine
