// SPDX-License-Identifier: Apache-2.0
#include "engine/executor/nested.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/common_runtime/function_body.h"
#include "tensorflow/core/common_runtime/function_def_utils.h"
#include "tensorflow/core/framework/function.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

struct AsGraph {
  tf::GraphDef graph;
  std::vector<std::string> feeds, fetches;
};

// Makes the function a graph: its nodes' names begin with `prefix`, arguments are fed, results are fetched.
AsGraph ToGraph(const tf::NameAttrList& function, const std::string& prefix, const ExecutableGraph& caller) {
  const tf::FunctionDef* definition = caller.functions->Find(function.name());
  if (definition == nullptr) throw Error(Code::kNotFound, "there is no function '" + function.name() + "'");
  std::unique_ptr<tf::FunctionBody> body;
  ThrowIfError(tf::FunctionDefToBodyHelper(*definition, tf::AttrSlice(&function.attr()),
                                           caller.functions.get(), &body));
  AsGraph result;
  body->graph->ToGraphDef(&result.graph);
  *result.graph.mutable_versions() = caller.graph->versions();
  *result.graph.mutable_library() = caller.functions->ToProto();
  result.feeds.resize(static_cast<std::size_t>(body->arg_nodes.size()));
  result.fetches.resize(static_cast<std::size_t>(body->ret_nodes.size()));
  for (tf::NodeDef& node : *result.graph.mutable_node()) {
    node.set_name(prefix + node.name());
    for (std::string& input : *node.mutable_input()) {
      input = IsControl(input) ? "^" + prefix + input.substr(1) : prefix + input;
    }
    const bool is_argument = node.op() == "_Arg";
    if (!is_argument && node.op() != "_Retval") continue;
    const auto index = static_cast<std::size_t>(node.attr().at("index").i());
    const tf::DataType type = node.attr().at("T").type();
    (is_argument ? result.feeds : result.fetches)[index] = node.name() + ":0";
    if (is_argument) {
      BecomePlaceholder(type, nullptr, &node);
      continue;
    }
    node.set_op("Identity");
    node.clear_attr();
    (*node.mutable_attr())["T"].set_type(type);
    if (index > 0) continue;
    for (const tf::Node* effect : body->control_ret_nodes) node.add_input("^" + prefix + effect->name());
  }
  return result;
}

// Reads a condition as TensorFlow's loops and branches do.
bool IsTrue(const tf::Tensor& condition) {
  return condition.dims() == 0 ? condition.scalar<bool>()() : condition.NumElements() > 0;
}

}  // namespace

bool Nested::Is(const tf::Node& node) { return node.IsWhileNode() || node.IsIfNode() || node.IsCaseNode(); }

std::unique_ptr<Nested> Nested::Make(const tf::Node& node, const ExecutableGraph& graph, tf::Device* device,
                                     StatefulKernels* stateful) {
  const Kind kind = node.IsWhileNode() ? Kind::kWhile : node.IsIfNode() ? Kind::kIf : Kind::kCase;
  std::unique_ptr<Nested> nested(new Nested(kind, node.name(), node.type_string()));
  std::vector<tf::NameAttrList> functions;
  if (kind == Kind::kIf && node.input_type(0) != tf::DT_BOOL) return nullptr;
  tf::NodeDef def = node.def();
  ForEachCallee(&def, [&](tf::NameAttrList* function) { functions.push_back(*function); });
  for (std::size_t i = 0; i < functions.size(); ++i) {
    const AsGraph called = ToGraph(functions[i], node.name() + "/" + std::to_string(i) + "/", graph);
    if (called.fetches.empty()) return nullptr;  // it only has side effects
    ExecutableGraph executable =
        MakeExecutable(called.graph, called.feeds, called.fetches, *graph.options, *graph.devices);
    for (const tf::Node* inner : executable.graph->op_nodes()) {
      if (inner->IsControlFlow() || NeedsSession(*inner)) return nullptr;
    }
    if (kind == Kind::kWhile && i == 0) {
      for (const tf::Node* inner : executable.graph->op_nodes()) {
        if (inner->IsRetval() && inner->input_type(0) != tf::DT_BOOL) return nullptr;
      }
    }
    auto executor = SequentialExecutor::Make(&executable, device, nullptr, stateful);
    if (executor == nullptr) return nullptr;
    nested->functions_.push_back(std::move(executor));
  }
  return nested;
}

void Nested::AddConstants(std::vector<GraphExecutor::Constant>* constants) const {
  for (const auto& function : functions_) {
    const std::vector<GraphExecutor::Constant> more = *function->Constants();
    constants->insert(constants->end(), more.begin(), more.end());
  }
}

void Nested::Run(tf::OpKernelContext::Params* params, std::vector<tf::Tensor> inputs,
                 std::vector<tf::Tensor>* outputs) const {
  if (kind_ == Kind::kWhile) return Loop(params, std::move(inputs), outputs);
  std::size_t taken = 0;
  if (kind_ == Kind::kIf) {
    taken = IsTrue(inputs[0]) ? 0 : 1;
  } else {
    const std::int64_t index = inputs[0].scalar<std::int32_t>()();
    const auto last = static_cast<std::int64_t>(functions_.size()) - 1;
    taken = static_cast<std::size_t>(index < 0 || index > last ? last : index);
  }
  inputs.erase(inputs.begin());
  functions_[taken]->RunIn(params, inputs, outputs);
}

void Nested::Loop(tf::OpKernelContext::Params* params, std::vector<tf::Tensor> state,
                  std::vector<tf::Tensor>* outputs) const {
  std::vector<tf::Tensor> held, answer, next;
  while (true) {
    held = state;  // the condition must not change it
    functions_[0]->RunIn(params, held, &answer);
    held.clear();
    if (!IsTrue(answer[0])) break;
    next.clear();
    functions_[1]->RunIn(params, state, &next);
    state.swap(next);
    next.clear();  // lets kernels overwrite values that only the loop holds
  }
  *outputs = std::move(state);
}

}  // namespace savedmodel::engine
