// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/inline.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/base/names.h"
#include "engine/base/status.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/provenance.h"
#include "tensorflow/core/common_runtime/function_body.h"
#include "tensorflow/core/common_runtime/function_def_utils.h"
#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/common_runtime/inline_function_utils.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/graph_def_util.h"
#include "tensorflow/core/graph/graph.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

constexpr char kStandIn[] = "savedmodel_caller_";

// A graph of the call alone, with stand-ins for its inputs.
tf::GraphDef Snippet(const tf::NodeDef& call, const tf::FunctionBody& body, const tf::VersionDef& versions,
                     std::unordered_map<std::string, std::string>* originals) {
  tf::GraphDef snippet;
  *snippet.mutable_versions() = versions;
  tf::NodeDef alone = call;
  alone.mutable_attr()->erase("_class");
  alone.clear_input();
  for (int i = 0; i < call.input_size(); ++i) {
    const bool control = IsControl(call.input(i));
    tf::NodeDef* node = snippet.add_node();
    node->set_name(kStandIn + std::to_string(i));
    node->set_op(control ? "NoOp" : "Placeholder");
    if (!control) (*node->mutable_attr())["dtype"].set_type(body.arg_types[static_cast<std::size_t>(i)]);
    alone.add_input((control ? "^" : "") + node->name());
    originals->emplace(node->name(), call.input(i));
  }
  *snippet.add_node() = std::move(alone);
  return snippet;
}

}  // namespace

std::string CalledBy(const tf::NodeDef& node) {
  if (!IsCall(node)) return node.op();
  return Attr(node, "f").func().name();
}

void InlineCall(const std::string& name, tf::GraphDef* graph) {
  const auto& nodes = graph->node();
  const auto found =
      std::find_if(nodes.begin(), nodes.end(), [&](const tf::NodeDef& node) { return node.name() == name; });
  const tf::NodeDef call = *found;
  const std::string context = "inlining the call " + Quote(name);
  const tf::FunctionLibraryDefinition library(tf::OpRegistry::Global(), graph->library());
  const tf::FunctionDef* function = library.Find(CalledBy(call));
  if (function == nullptr) throw Error(Code::kNotFound, context + ": the function is missing");
  const bool partitioned = IsCall(call);
  std::unique_ptr<tf::FunctionBody> body;
  const tf::AttrSlice attributes(partitioned ? &Attr(call, "f").func().attr() : &call.attr());
  ThrowIfError(tf::FunctionDefToBodyHelper(*function, attributes, &library, &body), context);
  const int given = CountDataInputs(call);
  if (static_cast<std::size_t>(given) != body->arg_types.size()) {
    throw Error(Code::kInvalidArgument, context + ": it has " + std::to_string(given) +
                                            " inputs, and the function takes " +
                                            std::to_string(body->arg_types.size()));
  }

  std::unordered_map<std::string, std::string> originals;
  tf::Graph inlined(library);
  tf::GraphConstructorOptions construct;
  construct.allow_internal_ops = true;
  ThrowIfError(
      tf::ConvertGraphDefToGraph(construct, Snippet(call, *body, graph->versions(), &originals), &inlined),
      context);
  tf::InlineFunctionBodyOptions options;
  options.ignore_noinline = true;
  options.inline_impl_selection_group_functions = true;
  options.keep_caller_node = tf::InlineFunctionBodyOptions::KeepCallerNode::kFetchable;
  if (partitioned) {
    options.output_control_src = tf::InlineFunctionBodyOptions::OutputControlSource::kControlOutputs;
  }
  for (tf::Node* node : inlined.op_nodes()) {
    if (node->name() != name) continue;
    ThrowIfError(tf::InlineFunctionBody(library, &inlined, node, body.get(), options), context);
    break;
  }
  tf::GraphDef result;
  inlined.ToGraphDef(&result, /*include_flib_def=*/false);
  tf::StripDefaultAttributes(library, result.mutable_node());

  std::unordered_set<std::string> taken;
  for (const tf::NodeDef& node : nodes) taken.insert(node.name());
  taken.erase(name);
  graph->mutable_node()->DeleteSubrange(static_cast<int>(found - nodes.begin()), 1);
  for (tf::NodeDef& node : *result.mutable_node()) {
    if (originals.count(node.name()) > 0) continue;
    if (!taken.insert(node.name()).second) {
      throw Error(Code::kUnimplemented,
                  context + ": the graph has a node " + Quote(node.name()) + " already");
    }
    for (std::string& input : *node.mutable_input()) {
      const auto original = originals.find(NodeOf(input));
      if (original == originals.end()) continue;
      input = IsControl(input) ? "^" + NodeOf(original->second) : original->second;
    }
    *graph->add_node() = std::move(node);
  }
}

}  // namespace savedmodel::engine::edit
