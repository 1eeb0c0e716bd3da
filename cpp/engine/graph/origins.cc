// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/origins.h"

#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/graph/attributes.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/rewriter.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool PassesOn(const tf::NodeDef& node) {
  return node.op() == "Placeholder" || node.op() == "Identity" || node.op() == "IdentityN" ||
         node.op() == "NoOp";
}

// By node: its place in an order in which inputs come first, and whether it depends on a Placeholder.
class Order {
 public:
  struct Place {
    std::size_t position = 0;
    bool depends = false;
  };

  explicit Order(const GraphView& view) : view_(view) {
    for (const tf::NodeDef& node : view.nodes()) Visit(node);
  }
  const Place& at(const tf::NodeDef& node) const { return places_.at(&node); }

 private:
  void Visit(const tf::NodeDef& first) {
    std::vector<std::pair<const tf::NodeDef*, int>> path;
    const auto enter = [&](const tf::NodeDef* node) {
      if (node != nullptr && places_.try_emplace(node).second) path.emplace_back(node, 0);
    };
    enter(&first);
    while (!path.empty()) {
      auto& [node, next] = path.back();
      if (next < node->input_size()) {
        enter(view_.Source(node->input(next++)));
        continue;
      }
      bool depends = node->op() == "Placeholder";
      for (const std::string& input : node->input()) {
        const tf::NodeDef* source = IsControl(input) ? nullptr : view_.Source(input);
        depends = depends || (source != nullptr && places_[source].depends);
      }
      places_[node] = {done_++, depends};
      path.pop_back();
    }
  }

  const GraphView& view_;
  std::unordered_map<const tf::NodeDef*, Place> places_;
  std::size_t done_ = 0;
};

}  // namespace

Replaced FindReplaced(const tf::GraphDef& optimized) {
  Replaced replaced;
  for (const tf::NodeDef& node : optimized.node()) {
    if (const tf::AttrValue* value = FindAttr(node, kReplacesAttr)) replaced[node.name()] = value->s();
  }
  return replaced;
}

Origins FindOrigins(const tf::GraphDef& loaded, const std::vector<TraceNode>& optimized,
                    const Replaced& replaced) {
  const auto value = [&](const TraceNode& node) {
    const auto found = replaced.find(node.node);
    return found == replaced.end() ? node.node : found->second;
  };
  const GraphView view(loaded);
  const Order order(view);
  std::unordered_set<std::string> there;
  for (const TraceNode& node : optimized) there.insert(value(node));
  Origins origins;
  for (const TraceNode& node : optimized) {
    const tf::NodeDef* const last = view.Find(value(node));
    if (last == nullptr) continue;
    std::map<std::size_t, const tf::NodeDef*> found{{order.at(*last).position, last}};
    std::vector<const tf::NodeDef*> pending{last};
    while (!pending.empty()) {
      const tf::NodeDef* const at = pending.back();
      pending.pop_back();
      for (const std::string& input : at->input()) {
        const tf::NodeDef* const source = IsControl(input) ? nullptr : view.Source(input);
        if (source == nullptr || there.count(source->name()) > 0 || !order.at(*source).depends) continue;
        if (found.emplace(order.at(*source).position, source).second) pending.push_back(source);
      }
    }
    std::vector<TraceNode> nodes;
    for (const auto& [position, origin] : found) {
      if (origin == last || !PassesOn(*origin)) nodes.push_back({origin->name(), origin->op()});
    }
    if (nodes.size() > 1 || nodes[0].op != node.op) origins[node.node] = std::move(nodes);
  }
  return origins;
}

}  // namespace savedmodel::engine
