// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/function_signature.h"

#include <map>
#include <set>
#include <utility>

#include "engine/base/names.h"
#include "engine/edit/saved_object.h"
#include "engine/edit/signatures.h"
#include "engine/objects/call_graph.h"
#include "engine/objects/object_tensors.h"
#include "engine/objects/saved_functions.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

using Infos = google::protobuf::Map<std::string, tf::TensorInfo>;

// Names components as TensorFlow does: those of a ragged or sparse "x" are "x", "x_1" and so on.
std::vector<TensorSpec> Apart(const std::vector<TensorSpec>& specs) {
  std::set<std::string> taken;
  for (const TensorSpec& spec : specs) taken.insert(spec.key);
  std::vector<TensorSpec> parts;
  for (const TensorSpec& spec : specs) {
    int number = 0;
    for (TensorSpec part : Flatten({spec})) {
      part.key = spec.key;
      while (number > 0 && !taken.insert(part.key = spec.key + "_" + std::to_string(number)).second) ++number;
      ++number;
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

tf::TensorInfo ToInfo(const TensorSpec& spec) {
  tf::TensorInfo info;
  info.set_dtype(static_cast<tf::DataType>(spec.dtype));
  info.mutable_tensor_shape()->set_unknown_rank(!spec.shape);
  if (spec.shape) {
    for (const std::int64_t size : *spec.shape) info.mutable_tensor_shape()->add_dim()->set_size(size);
  }
  if (spec.encoding == Encoding::kDense) {
    info.set_name(spec.name);
  } else if (spec.encoding == Encoding::kSparse) {
    info.mutable_coo_sparse()->set_indices_tensor_name(spec.components[0].name);
    info.mutable_coo_sparse()->set_values_tensor_name(spec.components[1].name);
    info.mutable_coo_sparse()->set_dense_shape_tensor_name(spec.components[2].name);
  } else {
    for (const TensorSpec& part : spec.components) {
      *info.mutable_composite_tensor()->add_components() = ToInfo(part);
    }
    *info.mutable_composite_tensor()->mutable_type_spec() = RaggedType(info);
  }
  return info;
}

Infos Describe(const std::vector<TensorSpec>& specs) {
  Infos infos;
  for (const TensorSpec& spec : specs) infos[spec.key] = ToInfo(spec);
  return infos;
}

// A prefix that keeps node names unique.
std::string Prefix(const std::string& signature, const tf::GraphDef& graph) {
  std::string text;
  for (const char c : signature) text += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  if (text.empty() || text[0] == '_') text = "f" + text;
  for (int number = 0;; ++number) {
    const std::string prefix = text + (number == 0 ? "" : "_" + std::to_string(number)) + "/";
    bool free = true;
    for (const tf::NodeDef& node : graph.node()) free &= node.name().rfind(prefix, 0) != 0;
    if (free) return prefix;
  }
}

// tf.saved_model.load calls signatures with tensors by key, and expects results by key.
tf::FunctionDef Wrapper(const tf::NodeDef& call, const FunctionCall& made, const tf::OpDef& called) {
  tf::FunctionDef wrapper;
  tf::OpDef* signature = wrapper.mutable_signature();
  signature->set_is_stateful(called.is_stateful());
  (*wrapper.mutable_attr())["_construction_context"].set_s("kEagerRuntime");
  std::map<std::string, int> order;  // the function's argument of each key
  for (std::size_t i = 0; i < made.inputs.size(); ++i) order.emplace(made.inputs[i].key, static_cast<int>(i));
  std::vector<std::string> arguments(static_cast<std::size_t>(called.input_arg_size()));
  const auto add = [&](int position) {
    tf::OpDef::ArgDef* argument = signature->add_input_arg();
    argument->set_name("argument_" + std::to_string(position));
    argument->set_type(called.input_arg(position).type());
    arguments[static_cast<std::size_t>(position)] = argument->name();
  };
  for (const auto& [key, position] : order) add(position);
  for (int i = static_cast<int>(order.size()); i < called.input_arg_size(); ++i) add(i);
  tf::NodeDef* node = wrapper.add_node_def();
  *node = call;
  node->set_name("call");
  node->clear_input();
  for (const std::string& argument : arguments) node->add_input(argument);
  std::map<std::string, std::pair<int, std::vector<TensorSpec>>> results;  // the first result of each key,
                                                                           // and all of them
  int position = 0;
  for (const TensorSpec& output : made.outputs) {
    const std::vector<TensorSpec> parts = Flatten({output});
    results.emplace(output.key, std::make_pair(position, parts));
    position += static_cast<int>(parts.size());
  }
  for (const auto& [key, parts] : results) {
    int next = parts.first;
    for (const TensorSpec& part : parts.second) {
      tf::OpDef::ArgDef* result = signature->add_output_arg();
      result->set_name("result_" + std::to_string(next));
      result->set_type(static_cast<tf::DataType>(part.dtype));
      (*wrapper.mutable_ret())[result->name()] = "call:output:" + std::to_string(next++);
    }
  }
  return wrapper;
}

const tf::OpDef& SignatureOf(const std::string& function, const tf::GraphDef& graph) {
  for (const tf::FunctionDef& each : graph.library().function()) {
    if (each.signature().name() == function) return each.signature();
  }
  throw Error(Code::kNotFound, "the graph has no function " + Quote(function));
}

}  // namespace

void Apply(const AddFunctionSignature& operation, State* state) {
  tf::MetaGraphDef* meta_graph = state->Selected();
  CheckFree(operation.name, *meta_graph);
  const SavedFunctions functions(meta_graph->object_graph_def());
  const SavedFunction& function = functions.Find(operation.function);
  if (operation.trace >= function.traces.size()) {
    throw UsageError(UsageError::Kind::kValue, "function " + Quote(operation.function) + " has no trace " +
                                                   std::to_string(operation.trace) + "; it has " +
                                                   std::to_string(function.traces.size()) +
                                                   " traces, numbered from 0");
  }
  const ConcreteFunction& trace = function.traces[operation.trace];
  if (trace.outputs.empty()) {
    throw UsageError(UsageError::Kind::kValue, "function " + Quote(operation.function) +
                                                   " returns no tensor, but a signature needs an output");
  }
  tf::GraphDef* graph = meta_graph->mutable_graph_def();
  std::map<int, std::string> tensors = ObjectTensors(state->source, *meta_graph, *graph);
  for (const auto& [tensor, object] : state->SelectedCaptures()) {
    const bool asset = object >= 0 && object < functions.objects().nodes_size() &&
                       functions.objects().nodes(object).has_asset();
    if (!asset) tensors.emplace(object, tensor);
  }
  FunctionCall made =
      MakeFunctionCall(*graph, functions.objects(), tensors, trace, Prefix(operation.name, *graph));
  made.inputs = Apart(made.inputs);
  tf::SignatureDef& definition = (*meta_graph->mutable_signature_def())[operation.name];
  definition.set_method_name(operation.method_name);
  *definition.mutable_inputs() = Describe(made.inputs);
  *definition.mutable_outputs() = Describe(made.outputs);
  const tf::SavedConcreteFunction& concrete = functions.objects().concrete_functions().at(trace.name);
  PutSignatureFunction(operation.name, Wrapper(made.nodes.back(), made, SignatureOf(trace.name, *graph)),
                       {concrete.bound_inputs().begin(), concrete.bound_inputs().end()}, meta_graph);
  for (const tf::NodeDef& node : made.nodes) *graph->add_node() = node;
}

}  // namespace savedmodel::engine::edit
