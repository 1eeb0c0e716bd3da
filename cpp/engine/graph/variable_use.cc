// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/variable_use.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/functions.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/resource_handle.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Hands on what it is given; which output is not told apart.
bool PassesHandles(const std::string& op) {
  static const auto* const ops = new std::unordered_set<std::string>{
      "Identity", "Enter", "Exit", "Merge", "NextIteration", "Switch", "StopGradient", "PreventGradient"};
  return ops->count(op) > 0;
}

class Handles {
 public:
  explicit Handles(const tf::FunctionDefLibrary& library) : functions_(library) {}

  // Where a handle has got to: by node, the output that it is (of a loop), or kAny.
  using Places = std::map<std::string, int>;
  static constexpr int kAny = -1;

  static bool IsAt(const Places& places, const std::string& tensor) {
    const TensorRef ref(tensor);
    const auto found = places.find(ref.node);
    return found != places.end() && (found->second == kAny || found->second == ref.index);
  }

  // True if the handle that `source` makes may be written, or gets lost, among `nodes`.
  bool Written(const GraphView::Nodes& nodes, const std::string& source, Places* places) {
    (*places)[source] = kAny;
    std::vector<std::string> pending{source};
    const GraphView& view = views_.try_emplace(&nodes, nodes).first->second;
    while (!pending.empty()) {
      const std::string name = std::move(pending.back());
      pending.pop_back();
      for (const auto& [node, input] : view.Readers(name)) {
        if (!IsAt(*places, node->input(input))) continue;
        if (ReadsVariable(node->op())) continue;
        const bool passes = PassesHandles(node->op());
        if (!passes && WrittenByCall(*node, input)) return true;
        if (!passes && !IsLoop(*node)) continue;
        const auto [place, fresh] = places->emplace(node->name(), passes ? kAny : input);
        if (fresh) pending.push_back(node->name());
        // One handle in two places of a loop.
        if (!fresh && !passes && place->second != input) return true;
      }
    }
    return false;
  }

 private:
  // A loop hands its arguments on to itself. An op that is no call may do anything with a handle.
  bool WrittenByCall(const tf::NodeDef& node, int input) {
    const std::vector<std::string> callees = Callees(node);
    const int argument = input - FirstArgument(node);
    return callees.empty() || argument < 0 ||
           std::any_of(callees.begin(), callees.end(),
                       [&](const std::string& callee) { return WrittenIn(callee, argument, IsLoop(node)); });
  }

  bool WrittenIn(const std::string& callee, int argument, bool may_return) {
    const auto [entry, fresh] = written_.try_emplace({callee, argument, may_return}, true);
    if (!fresh) return entry->second;  // a function that calls itself: not followed
    const tf::FunctionDef* function = functions_.Find(callee);
    bool written = function == nullptr || argument >= function->signature().input_arg_size();
    if (!written) {
      const tf::FunctionDef& def = *function;
      Places places;
      written = Written(def.node_def(), def.signature().input_arg(argument).name(), &places);
      // A loop may hand it to its next round in its own place; nobody may anywhere else.
      for (int i = 0; i < def.signature().output_arg_size() && !written; ++i) {
        const auto returned = def.ret().find(def.signature().output_arg(i).name());
        if (returned == def.ret().end() || !IsAt(places, returned->second)) continue;
        if (def.signature().output_arg(i).type() != tf::DT_RESOURCE) continue;
        written = !may_return || i != argument;
      }
    }
    return written_[{callee, argument, may_return}] = written;
  }

  FunctionIndex functions_;
  std::map<std::tuple<std::string, int, bool>, bool> written_;
  std::unordered_map<const GraphView::Nodes*, GraphView> views_;
};

// Of variables of TensorFlow 1: whoever takes the reference itself may write.
std::set<std::string> WrittenReferences(const tf::GraphDef& graph) {
  std::unordered_map<std::string, const tf::NodeDef*> variables;
  for (const tf::NodeDef& node : graph.node()) {
    if (IsReferenceVariable(node)) variables.emplace(node.name(), &node);
  }
  std::set<std::string> written;
  if (variables.empty()) return written;
  for (const tf::NodeDef& node : graph.node()) {
    if (node.op() == "IsVariableInitialized") continue;
    const tf::OpDef* op = FindOp(node.op());
    tf::DataTypeVector types;
    const bool known = op != nullptr && tf::InputTypesForNode(node, *op, &types).ok();
    for (int i = 0; i < node.input_size() && !IsControl(node.input(i)); ++i) {
      const auto variable = variables.find(NodeOf(node.input(i)));
      if (variable == variables.end()) continue;
      const auto place = static_cast<std::size_t>(i);
      const bool reads = known && place < types.size() && !tf::IsRefType(types[place]);
      if (!reads) written.insert(VariableKey(*variable->second));
    }
  }
  return written;
}

}  // namespace

bool ReadsVariable(const std::string& op) {
  return op == "ReadVariableOp" || op == "ResourceGather" || op == "ResourceGatherNd" ||
         op == "VariableShape" || op == "VarIsInitializedOp";
}

bool IsReferenceVariable(const tf::NodeDef& node) {
  return node.op() == "VariableV2" || node.op() == "Variable";
}

std::string VariableKey(const tf::NodeDef& handle) {
  const std::string& name = Attr(handle, "shared_name").s();
  std::string container = Attr(handle, "container").s();
  if (container == "localhost") container.clear();  // the default one
  if (IsReferenceVariable(handle)) return container + "/&" + (name.empty() ? handle.name() : name);
  return name.empty() || name == tf::ResourceHandle::ANONYMOUS_NAME ? "" : container + "/" + name;
}

std::set<std::string> WrittenVariables(const tf::GraphDef& graph, const std::vector<std::string>& fetches) {
  const tf::GraphDef reached = Prune(graph, {}, fetches);
  Handles handles(reached.library());
  std::set<std::string> written = WrittenReferences(reached);
  for (const tf::NodeDef& node : reached.node()) {
    if (node.op() != "VarHandleOp") continue;
    Handles::Places places;
    if (handles.Written(reached.node(), node.name(), &places)) written.insert(VariableKey(node));
  }
  for (const tf::FunctionDef& function : reached.library().function()) {
    for (const tf::NodeDef& node : function.node_def()) {
      if (node.op() != "VarHandleOp") continue;
      Handles::Places places;
      if (handles.Written(function.node_def(), node.name(), &places)) written.insert(VariableKey(node));
    }
  }
  return written;
}

bool IsStandalone(const tf::GraphDef& graph) {
  return !AnyNode(graph, [](const tf::NodeDef& node) {
    const tf::OpDef* op = FindOp(node.op());
    if (op == nullptr) return false;  // a function
    return std::any_of(op->attr().begin(), op->attr().end(), [](const tf::OpDef::AttrDef& attr) {
      return attr.name() == "shared_name" || attr.name() == "container";
    });
  });
}

}  // namespace savedmodel::engine
