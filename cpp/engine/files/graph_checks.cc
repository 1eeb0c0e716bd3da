// SPDX-License-Identifier: Apache-2.0
#include "engine/files/graph_checks.h"

#include <algorithm>
#include <unordered_set>

#include "engine/graph/attributes.h"
#include "engine/graph/graph.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/provenance.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// The graph optimizer assumes that the constant axis of a concatenation is one number.
class ConcatAxes {
 public:
  template <typename Nodes>
  explicit ConcatAxes(const Nodes& nodes) {
    for (const tf::NodeDef& node : nodes) {
      if (node.op() == "Const" && !IsOneNumber(Attr(node, "value").tensor().tensor_shape()))
        arrays_.insert(node.name());
    }
  }
  std::string FaultOf(const tf::NodeDef& node) const {
    if ((node.op() != "ConcatV2" && node.op() != "Concat") || node.input_size() == 0) return "";
    const tf::AttrValue* count = FindAttr(node, "N");
    if (count == nullptr) return "";
    const auto at = node.op() == "Concat" ? 0 : count->i();
    if (at < 0 || at >= node.input_size()) return "";
    const std::string source = NodeOf(node.input(static_cast<int>(at)));
    return arrays_.count(source) > 0 ? "its axis '" + source + "' does not have exactly one value" : "";
  }

 private:
  std::unordered_set<std::string> arrays_;
};

[[noreturn]] void Refuse(const std::string& path, const std::string& where, const std::string& fault) {
  throw Error(Code::kInvalidArgument, "'" + path + "': " + where + ": " + fault);
}

}  // namespace

void CheckGraph(const std::string& path, const tf::MetaGraphDef& meta_graph, const GraphLimits& limits) {
  const tf::GraphDef& graph = meta_graph.graph_def();
  CalledNodes called(graph.library());
  const auto check = [&](const tf::NodeDef& node, const ConcatAxes& axes, const std::string& function) {
    std::string fault = FaultOfValues(node, limits);
    const tf::OpDef* op = FindOp(node.op());
    if (fault.empty()) fault = FaultOfFullType(node, op);
    if (fault.empty()) fault = FaultOfAttributes(node, op);
    if (fault.empty() && function.empty()) fault = FaultOfInputs(node, op);
    if (fault.empty()) fault = axes.FaultOf(node);
    if (fault.empty()) fault = called.Fault(node);
    if (fault.empty()) return;
    Refuse(path, "node '" + node.name() + "'" + (function.empty() ? "" : " of function '" + function + "'"),
           fault);
  };
  const ConcatAxes axes(graph.node());
  double count = 0;
  for (const tf::NodeDef& node : graph.node()) {
    check(node, axes, "");
    count += called.Count(node);
    if (count > limits.nodes) {
      Refuse(path, "node '" + node.name() + "'",
             "it calls functions that call themselves, or that expand to too many nodes");
    }
  }
  for (const tf::FunctionDef& function : graph.library().function()) {
    const ConcatAxes inside(function.node_def());
    for (const tf::NodeDef& node : function.node_def()) check(node, inside, function.signature().name());
  }
}

}  // namespace savedmodel::engine
