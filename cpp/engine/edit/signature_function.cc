// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/signature_function.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/names.h"
#include "engine/base/status.h"
#include "engine/edit/needed.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/graph.h"
#include "engine/graph/isolate.h"
#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/graph_to_functiondef.h"
#include "tensorflow/core/graph/graph.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

constexpr char kResult[] = "savedmodel_result_";

struct Plan {
  std::vector<std::string> feeds;  // inputs by key, then captures
  std::vector<tf::DataType> feed_types;
  std::vector<std::string> fetches;
  std::vector<tf::DataType> fetch_types;
  tf::AttrValue shapes;
  std::vector<int> bound;
};

const tf::TensorInfo& Dense(const std::string& key, const tf::TensorInfo& info) {
  if (info.encoding_case() != tf::TensorInfo::kName) {
    throw Error(Code::kFailedPrecondition, Quote(key) + " is a sparse or composite value");
  }
  return info;
}

// The components of a whole value, as tf.saved_model.load splits it.
std::vector<std::pair<std::string, tf::DataType>> Tensors(const tf::TensorInfo& info) {
  if (info.has_coo_sparse()) {
    return {{info.coo_sparse().indices_tensor_name(), tf::DT_INT64},
            {info.coo_sparse().values_tensor_name(), info.dtype()},
            {info.coo_sparse().dense_shape_tensor_name(), tf::DT_INT64}};
  }
  if (!info.has_composite_tensor()) return {{info.name(), info.dtype()}};
  std::vector<std::pair<std::string, tf::DataType>> parts;
  for (const tf::TensorInfo& part : info.composite_tensor().components()) {
    for (const auto& tensor : Tensors(part)) parts.push_back(tensor);
  }
  return parts;
}

Plan MakePlan(const tf::SignatureDef& signature, const Captures& captures, const tf::GraphDef& graph) {
  Plan plan;
  for (const std::string& key : Keys(signature.inputs())) {
    const tf::TensorInfo& info = Dense(key, signature.inputs().at(key));
    plan.feeds.push_back(TensorRef::Parse(info.name()).ToString());
    plan.feed_types.push_back(info.dtype());
    *plan.shapes.mutable_list()->add_shape() = info.tensor_shape();
  }
  const std::set<std::string> fed(plan.feeds.begin(), plan.feeds.end());
  for (const std::string& key : Keys(signature.outputs())) {
    for (const auto& [tensor, dtype] : Tensors(signature.outputs().at(key))) {
      plan.fetches.push_back(TensorRef::Parse(tensor).ToString());
      plan.fetch_types.push_back(dtype);
    }
  }
  NeededNodes needed(graph);
  needed.AddCall(plan.feeds, plan.fetches);
  const GraphIndex index(graph);
  for (const tf::NodeDef& node : graph.node()) {
    const std::string tensor = node.name() + ":0";
    if (!needed.Has(node.name()) || fed.count(tensor) > 0) continue;
    const auto object = captures.find(tensor);
    if (object == captures.end()) {
      if (!MakesHandle(node)) continue;
      throw Error(Code::kFailedPrecondition, "it needs " + Quote(node.name()) + " (" + node.op() +
                                                 "), which is not part of the saved object");
    }
    plan.feeds.push_back(tensor);
    plan.feed_types.push_back(static_cast<tf::DataType>(index.TypeOf(TensorRef::Parse(tensor), tensor)));
    plan.shapes.mutable_list()->add_shape()->set_unknown_rank(plan.feed_types.back() != tf::DT_RESOURCE);
    plan.bound.push_back(object->second);
  }
  return plan;
}

// Turns feeds into arguments, and fetches into results.
tf::GraphDef AsFunctionBody(const Plan& plan, const tf::GraphDef& graph) {
  IsolatedGraph isolated = Isolate(graph, plan.feeds, plan.feed_types, plan.fetches, plan.fetch_types);
  std::map<std::string, std::size_t> feeds;
  std::map<std::string, std::size_t> fetches;
  for (std::size_t i = 0; i < isolated.feeds.size(); ++i) {
    feeds.emplace(TensorRef::Parse(isolated.feeds[i]).node, i);
  }
  for (std::size_t i = 0; i < isolated.fetches.size(); ++i) {
    fetches.emplace(TensorRef::Parse(isolated.fetches[i]).node, i);
  }
  std::vector<tf::NodeDef> results;
  for (tf::NodeDef& node : *isolated.graph.mutable_node()) {
    const auto feed = feeds.find(node.name());
    if (feed != feeds.end()) {
      node.set_op("_Arg");
      node.clear_attr();
      (*node.mutable_attr())["T"].set_type(plan.feed_types[feed->second]);
      (*node.mutable_attr())["index"].set_i(static_cast<std::int64_t>(feed->second));
      continue;
    }
    const auto fetch = fetches.find(node.name());
    if (fetch == fetches.end()) continue;
    const auto fed = std::find(plan.feeds.begin(), plan.feeds.end(), plan.fetches[fetch->second]);
    if (fed != plan.feeds.end()) {  // an input that is also an output
      node.set_input(0, isolated.feeds[static_cast<std::size_t>(fed - plan.feeds.begin())]);
    }
    tf::NodeDef& result = results.emplace_back();
    result.set_name(kResult + std::to_string(fetch->second));
    result.set_op("_Retval");
    result.add_input(node.name());
    (*result.mutable_attr())["T"].set_type(plan.fetch_types[fetch->second]);
    (*result.mutable_attr())["index"].set_i(static_cast<std::int64_t>(fetch->second));
  }
  std::vector<std::string> ends;
  for (const tf::NodeDef& result : results) {
    *isolated.graph.add_node() = result;
    ends.push_back(result.name() + ":0");
  }
  return Prune(isolated.graph, isolated.feeds, ends);
}

}  // namespace

SignatureFunction MakeSignatureFunction(const std::string& function_name, const tf::SignatureDef& signature,
                                        const Captures& captures, const tf::GraphDef& graph) {
  const Plan plan = MakePlan(signature, captures, graph);
  const tf::GraphDef body = AsFunctionBody(plan, graph);
  const tf::FunctionLibraryDefinition library(tf::OpRegistry::Global(), body.library());
  tf::Graph built(library);
  tf::GraphConstructorOptions options;
  options.allow_internal_ops = true;
  ThrowIfError(tf::ConvertGraphDefToGraph(options, body, &built), function_name);

  SignatureFunction function;
  function.bound = plan.bound;
  bool stateful = false;
  // A caller runs nodes with side effects even if no result needs them.
  const auto control = [&](const tf::Node* node) -> std::optional<std::string> {
    if (!node->op_def().is_stateful() || node->IsArg() || node->IsRetval()) return std::nullopt;
    stateful = true;
    return node->name();
  };
  ThrowIfError(tf::GraphToFunctionDef(built, function_name, control, &function.definition), function_name);
  tf::OpDef* declared = function.definition.mutable_signature();
  declared->set_is_stateful(stateful);
  (*function.definition.mutable_attr())["_input_shapes"] = plan.shapes;
  (*function.definition.mutable_attr())["_construction_context"].set_s("kEagerRuntime");
  return function;
}

}  // namespace savedmodel::engine::edit
