// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/graph_walk.h"

#include <cstdlib>
#include <unordered_set>
#include <utility>

#include "engine/graph/provenance.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr int kDepth = 32;  // functions may call themselves

// The last number of "node:output:1" or "node:1".
int OutputOf(const std::string& tensor) {
  const auto colon = tensor.rfind(':');
  return colon == std::string::npos ? 0 : std::atoi(tensor.c_str() + colon + 1);
}

// The functions that are called whenever the node runs, with its inputs as their arguments.
std::vector<std::string> Calls(const tf::NodeDef& node) {
  std::vector<std::string> names{node.op()};
  const auto add = [&](const char* attribute) {
    const auto function = node.attr().find(attribute);
    if (function != node.attr().end()) names.push_back(function->second.func().name());
  };
  if (node.op() == "PartitionedCall" || node.op() == "StatefulPartitionedCall") add("f");
  if (node.op() == "While" || node.op() == "StatelessWhile") {
    add("cond");
    add("body");
  }
  return names;
}

bool PassesOn(const std::string& op) { return op == "Identity" || op == "RefIdentity"; }

}  // namespace

GraphWalk::GraphWalk(const tf::GraphDef& graph) {
  for (const tf::NodeDef& node : graph.node()) graph_.nodes.emplace(node.name(), &node);
  for (const tf::FunctionDef& function : graph.library().function()) {
    functions_.emplace(function.signature().name(), &function);
  }
}

const tf::NodeDef* GraphWalk::Find(const std::string& node) const {
  const auto found = graph_.nodes.find(node);
  return found == graph_.nodes.end() ? nullptr : found->second;
}

const tf::FunctionDef* GraphWalk::FindFunction(const std::string& name) const {
  const auto found = functions_.find(name);
  return found == functions_.end() ? nullptr : found->second;
}

const GraphWalk::Body& GraphWalk::BodyOf(const tf::FunctionDef& function) {
  const auto [entry, fresh] = bodies_.try_emplace(&function);
  if (!fresh) return entry->second;
  for (const tf::NodeDef& node : function.node_def()) entry->second.nodes.emplace(node.name(), &node);
  const auto& arguments = function.signature().input_arg();
  for (int i = 0; i < arguments.size(); ++i) {
    entry->second.arguments.emplace(arguments[i].name(), static_cast<std::size_t>(i));
  }
  return entry->second;
}

const std::vector<std::string>& GraphWalk::KeysOf(const tf::NodeDef& constant) const {
  const auto [entry, fresh] = keys_.try_emplace(&constant);
  const auto value = constant.attr().find("value");
  tf::Tensor keys;
  if (!fresh || constant.op() != "Const" || value == constant.attr().end() ||
      !keys.FromProto(value->second.tensor()) || keys.dtype() != tf::DT_STRING) {
    return entry->second;
  }
  const auto flat = keys.flat<tf::tstring>();
  for (Eigen::Index i = 0; i < flat.size(); ++i) entry->second.emplace_back(flat(i));
  return entry->second;
}

TensorOrigin GraphWalk::Trace(const Scope& scope, const std::string& start) const {
  std::string tensor = start;
  const Nodes& nodes = scope.body->nodes;
  for (std::size_t steps = 0; steps <= nodes.size(); ++steps) {  // a damaged graph may pass it on in a circle
    const auto found = nodes.find(NodeOfInput(tensor));
    if (found == nodes.end()) {
      const auto argument = scope.body->arguments.find(tensor);
      const bool given = argument != scope.body->arguments.end() && argument->second < scope.arguments.size();
      return given ? scope.arguments[argument->second] : TensorOrigin();
    }
    const tf::NodeDef& node = *found->second;
    if (PassesOn(node.op()) && node.input_size() > 0) {
      tensor = node.input(0);
      continue;
    }
    TensorOrigin origin;
    if (scope.is_graph) origin.tensor = node.name() + ":" + std::to_string(OutputOf(tensor));
    if (node.op() != "RestoreV2" || node.input_size() < 2) return origin;
    const auto constant = nodes.find(NodeOfInput(node.input(1)));
    if (constant == nodes.end()) return origin;
    const std::vector<std::string>& keys = KeysOf(*constant->second);
    const auto index = static_cast<std::size_t>(OutputOf(tensor));
    if (index < keys.size()) origin.key = keys[index];
    return origin;
  }
  return {};
}

std::vector<TensorOrigin> GraphWalk::TraceInputs(const Scope& scope, const tf::NodeDef& node) const {
  std::vector<TensorOrigin> inputs;
  for (const std::string& input : node.input()) {
    if (!input.empty() && input[0] == '^') break;
    inputs.push_back(Trace(scope, input));
  }
  return inputs;
}

void GraphWalk::Enter(const tf::NodeDef& node, const std::vector<TensorOrigin>& inputs, int depth,
                      const Visit& visit) {
  for (const std::string& name : Calls(node)) {
    const tf::FunctionDef* function = FindFunction(name);
    if (function == nullptr || depth >= kDepth) continue;
    std::string call = name;
    for (const TensorOrigin& input : inputs) call += '\n' + input.tensor + '\t' + input.key;
    if (!entered_.emplace(std::move(call), true).second) continue;
    const Scope scope{&BodyOf(*function), false, inputs};
    for (const tf::NodeDef& inner : function->node_def()) {
      const std::vector<TensorOrigin> traced = TraceInputs(scope, inner);
      visit(inner, traced);
      Enter(inner, traced, depth + 1, visit);
    }
  }
}

void GraphWalk::Run(const std::vector<std::string>& start, const std::vector<std::string>& fed,
                    const Visit& visit) {
  entered_.clear();
  const Scope scope{&graph_, true, {}};
  const std::unordered_set<std::string> given(fed.begin(), fed.end());
  std::unordered_set<std::string> seen;
  std::vector<std::string> pending(start);
  while (!pending.empty()) {
    const std::string tensor = std::move(pending.back());
    pending.pop_back();
    const std::string name = NodeOfInput(tensor);
    if (tensor[0] != '^' && given.count(name + ":" + std::to_string(OutputOf(tensor))) > 0) continue;
    const tf::NodeDef* node = Find(name);
    if (node == nullptr || !seen.insert(name).second) continue;
    const std::vector<TensorOrigin> inputs = TraceInputs(scope, *node);
    visit(*node, inputs);
    Enter(*node, inputs, 0, visit);
    for (const std::string& input : node->input()) {
      if (!input.empty()) pending.push_back(input);
    }
  }
}

void GraphWalk::One(const tf::NodeDef& node, const Visit& visit) {
  visit(node, TraceInputs({&graph_, true, {}}, node));
}

}  // namespace savedmodel::engine
