// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/graph_walk.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr int kDepth = 32;  // functions may call themselves

bool PassesOn(const std::string& op) { return op == "Identity" || op == "RefIdentity"; }

}  // namespace

const std::vector<std::string>& GraphWalk::KeysOf(const tf::NodeDef& constant) const {
  const auto [entry, fresh] = keys_.try_emplace(&constant);
  const auto keys = fresh ? ConstValue(constant) : std::nullopt;
  if (!keys || keys->dtype() != tf::DT_STRING) return entry->second;
  const auto flat = keys->flat<tf::tstring>();
  for (Eigen::Index i = 0; i < flat.size(); ++i) entry->second.emplace_back(flat(i));
  return entry->second;
}

TensorOrigin GraphWalk::Trace(const Scope& scope, const std::string& start) const {
  std::string tensor = start;
  const GraphView& graph = *scope.body;
  for (int steps = 0; steps <= graph.nodes().size(); ++steps) {  // a damaged graph may contain a cycle
    const tf::NodeDef* found = graph.Source(tensor);
    if (found == nullptr) {
      const int argument = graph.Argument(tensor);
      const bool given = argument >= 0 && static_cast<std::size_t>(argument) < scope.arguments.size();
      return given ? scope.arguments[static_cast<std::size_t>(argument)] : TensorOrigin();
    }
    const tf::NodeDef& node = *found;
    if (PassesOn(node.op()) && node.input_size() > 0) {
      tensor = node.input(0);
      continue;
    }
    TensorOrigin origin;
    const TensorRef ref(tensor);
    if (scope.is_graph) origin.tensor = ref.ToString();
    if (node.op() != "RestoreV2" || node.input_size() < 2) return origin;
    const tf::NodeDef* constant = graph.Source(node.input(1));
    if (constant == nullptr) return origin;
    const std::vector<std::string>& keys = KeysOf(*constant);
    const auto index = static_cast<std::size_t>(ref.index);
    if (index < keys.size()) origin.key = keys[index];
    return origin;
  }
  return {};
}

std::vector<TensorOrigin> GraphWalk::TraceInputs(const Scope& scope, const tf::NodeDef& node) const {
  std::vector<TensorOrigin> inputs;
  for (const std::string& input : node.input()) {
    if (IsControl(input)) break;
    inputs.push_back(Trace(scope, input));
  }
  return inputs;
}

void GraphWalk::Enter(const tf::NodeDef& node, const std::vector<TensorOrigin>& inputs, int depth,
                      const Visit& visit) {
  std::vector<std::string> names{node.op()};
  if (!IsBranch(node)) {
    const std::vector<std::string> callees = Callees(node);
    names.insert(names.end(), callees.begin(), callees.end());
  }
  for (const std::string& name : names) {
    const tf::FunctionDef* function = FindFunction(name);
    if (function == nullptr || depth >= kDepth) continue;
    std::string call = name;
    for (const TensorOrigin& input : inputs) call += '\n' + input.tensor + '\t' + input.key;
    if (!entered_.emplace(std::move(call), true).second) continue;
    const GraphView& body = bodies_.try_emplace(function, *function).first->second;
    const Scope scope{&body, false, inputs};
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
  const auto follow = [&](const std::string& input) {
    return IsControl(input) || given.count(TensorRef(input).ToString()) == 0;
  };
  std::vector<std::string> first;
  std::copy_if(start.begin(), start.end(), std::back_inserter(first), follow);
  graph_.Walk(
      std::move(first),
      [&](const tf::NodeDef& node) {
        const std::vector<TensorOrigin> inputs = TraceInputs(scope, node);
        visit(node, inputs);
        Enter(node, inputs, 0, visit);
      },
      [&](const tf::NodeDef&, const std::string& input) { return follow(input); });
}

void GraphWalk::One(const tf::NodeDef& node, const Visit& visit) {
  visit(node, TraceInputs({&graph_, true, {}}, node));
}

}  // namespace savedmodel::engine
