// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/isolate.h"

#include <algorithm>
#include <unordered_map>

#include "engine/graph/attributes.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/graph.h"
#include "engine/graph/rewriter.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kFeed[] = "savedmodel_feed_";
constexpr char kFetch[] = "savedmodel_fetch_";

// Calls with side effects are inlined only where an edge guarantees that the effects happen.
void KeepSideEffects(tf::GraphDef* graph) {
  std::vector<std::string> calls;
  tf::NodeDef* fetch = nullptr;
  for (tf::NodeDef& node : *graph->mutable_node()) {
    if (node.op() == "StatefulPartitionedCall") calls.push_back("^" + node.name());
    if (node.name().rfind(kFetch, 0) == 0) fetch = &node;
  }
  const bool control_flow = std::any_of(graph->node().begin(), graph->node().end(),
                                        [](const tf::NodeDef& node) { return IsControlFlow(node.op()); });
  if (control_flow) return;  // a call in a branch that is not taken would take the result with it
  for (const std::string& call : calls) fetch->add_input(call);
}

}  // namespace

IsolatedGraph Isolate(const tf::GraphDef& graph, const std::vector<std::string>& feeds,
                      const std::vector<tf::DataType>& feed_types, const std::vector<std::string>& fetches,
                      const std::vector<tf::DataType>& fetch_types) {
  IsolatedGraph result;
  result.graph = Prune(graph, feeds, fetches);
  std::unordered_map<std::string, tf::AttrValue> shapes;
  for (const tf::NodeDef& node : result.graph.node()) {
    const tf::AttrValue* shape = FindAttr(node, "shape");
    const bool placeholder = node.op() == "Placeholder" || node.op() == "PlaceholderWithDefault";
    if (placeholder && shape != nullptr) shapes.emplace(node.name() + ":0", *shape);
  }
  std::unordered_map<std::string, std::string> fed;
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    const std::string name = kFeed + std::to_string(i);
    tf::NodeDef* node = result.graph.add_node();
    node->set_name(name);
    const auto shape = shapes.find(feeds[i]);
    // Before version 24 a placeholder's empty shape meant an unknown one.
    const bool known =
        shape != shapes.end() && (graph.versions().producer() >= 24 || shape->second.shape().dim_size() > 0);
    BecomePlaceholder(feed_types[i], known ? &shape->second.shape() : nullptr, node);
    fed.emplace(feeds[i], name);
    result.feeds.push_back(name + ":0");
  }
  for (tf::NodeDef& node : *result.graph.mutable_node()) {
    for (std::string& input : *node.mutable_input()) {
      if (IsControl(input)) {
        const std::string tensor = input.substr(1) + ":0";
        const auto found = fed.find(tensor);
        if (found != fed.end() && shapes.count(tensor) > 0) input = "^" + found->second;
        continue;
      }
      const auto found = fed.find(TensorRef::Parse(input).ToString());
      if (found != fed.end()) input = found->second;
    }
  }
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    tf::NodeDef* node = result.graph.add_node();
    node->set_name(kFetch + std::to_string(i));
    node->set_op("Identity");
    node->add_input(fetches[i]);
    (*node->mutable_attr())["T"].set_type(fetch_types[i]);
    result.fetches.push_back(node->name() + ":0");
  }
  // The nodes that made the feeds may be of no use now.
  result.graph = Prune(result.graph, result.feeds, result.fetches);
  KeepSideEffects(&result.graph);
  return result;
}

}  // namespace savedmodel::engine
