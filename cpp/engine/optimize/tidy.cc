// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/tidy.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/constants.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/rewriter.h"
#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Nodes = GraphView::Nodes;

// Sources before their readers; shorter than `nodes` if there is a cycle.
std::vector<int> Order(const Nodes& nodes, const std::unordered_map<std::string, int>& index) {
  std::vector<int> pending(static_cast<std::size_t>(nodes.size()));
  std::vector<std::vector<int>> readers(pending.size());
  std::vector<int> order;
  for (int i = 0; i < nodes.size(); ++i) {
    for (const std::string& input : nodes[i].input()) {
      const auto source = index.find(TensorRef(input).node);
      if (source == index.end()) continue;
      readers[static_cast<std::size_t>(source->second)].push_back(i);
      ++pending[static_cast<std::size_t>(i)];
    }
    if (pending[static_cast<std::size_t>(i)] == 0) order.push_back(i);
  }
  for (std::size_t next = 0; next < order.size(); ++next) {
    for (const int reader : readers[static_cast<std::size_t>(order[next])]) {
      if (--pending[static_cast<std::size_t>(reader)] == 0) order.push_back(reader);
    }
  }
  return order;
}

bool IsStateless(const tf::NodeDef& node) {
  const tf::OpDef* op = FindOp(node.op());
  return op != nullptr && !op->is_stateful();
}

bool IsData(const std::string& input) { return !IsControl(input); }

void DropRepeatedWaits(std::vector<std::string>* inputs) {
  std::unordered_set<std::string> seen;
  const auto repeated = [&](const std::string& input) {
    return !IsData(input) && !seen.insert(input).second;
  };
  inputs->erase(std::remove_if(inputs->begin(), inputs->end(), repeated), inputs->end());
}

bool PassesOn(const tf::NodeDef& node) {
  return node.op() == "Const" || node.op() == kPooledConstantOp || node.op() == "Identity";
}

}  // namespace

void Tidy(IsolatedGraph* isolated) {
  Nodes& nodes = *isolated->graph.mutable_node();
  std::unordered_map<std::string, int> index;
  for (int i = 0; i < nodes.size(); ++i) {
    if (IsControlFlow(nodes[i].op())) return;
    index.emplace(nodes[i].name(), i);
  }
  const std::vector<int> order = Order(nodes, index);
  if (static_cast<int>(order.size()) != nodes.size()) return;
  std::unordered_set<std::string> kept;
  for (const std::string& tensor : isolated->fetches) kept.insert(TensorRef(tensor).node);
  std::unordered_map<std::string, std::vector<std::string>> waits;  // of constants and Identity nodes
  std::unordered_set<std::string> pure;  // nodes that neither have nor see side effects, like all that they
                                         // read
  std::unordered_map<std::string, std::string> passed_on;  // output of an Identity -> its source
  for (const int i : order) {
    tf::NodeDef& node = nodes[i];
    node.mutable_attr()->erase("_class");
    std::vector<std::string> inputs, late;
    bool is_pure = IsStateless(node);
    for (const std::string& input : node.input()) {
      const TensorRef id(input);
      const bool from_pure = pure.count(id.node) > 0;
      is_pure &= from_pure;
      if (id.index < 0 && from_pure) continue;
      const auto passed = passed_on.find(id.node + ":" + std::to_string(id.index));
      inputs.push_back(passed == passed_on.end() ? input : passed->second);
      const auto more = waits.find(id.node);
      if (more != waits.end()) late.insert(late.end(), more->second.begin(), more->second.end());
    }
    inputs.insert(inputs.end(), late.begin(), late.end());
    DropRepeatedWaits(&inputs);
    if (PassesOn(node) && kept.count(node.name()) == 0) {
      const auto first = std::stable_partition(inputs.begin(), inputs.end(), IsData);
      if (first != inputs.end()) waits[node.name()].assign(first, inputs.end());
      inputs.erase(first, inputs.end());
    }
    node.clear_input();
    for (std::string& input : inputs) node.add_input(std::move(input));
    if (!is_pure) continue;
    pure.insert(node.name());
    if ((node.op() != "Identity" && node.op() != "IdentityN") || kept.count(node.name()) > 0) continue;
    for (int k = 0; k < node.input_size(); ++k) {
      passed_on.emplace(node.name() + ":" + std::to_string(k), node.input(k));
    }
  }
  isolated->graph = Prune(isolated->graph, isolated->feeds, isolated->fetches);
}

}  // namespace savedmodel::engine
