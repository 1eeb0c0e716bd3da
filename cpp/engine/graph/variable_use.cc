// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/variable_use.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/graph/attributes.h"
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

struct Called {
  std::string function;
  int argument;
};

// The function arguments that data input `input` of a call becomes; `keeps` is true for loops, which hand
// their arguments on to themselves. False if this is no call.
bool Calls(const tf::NodeDef& node, int input, std::vector<Called>* calls, bool* keeps) {
  const auto function = [&](const char* attribute) { return Attr(node, attribute).func().name(); };
  const std::string& op = node.op();
  *keeps = false;
  if (op == "PartitionedCall" || op == "StatefulPartitionedCall") {
    calls->push_back({function("f"), input});
  } else if (op == "While" || op == "StatelessWhile") {
    calls->push_back({function("cond"), input});
    calls->push_back({function("body"), input});
    *keeps = true;
  } else if (op == "If" || op == "StatelessIf") {
    if (input == 0) return false;
    calls->push_back({function("then_branch"), input - 1});
    calls->push_back({function("else_branch"), input - 1});
  } else if (op == "Case" || op == "StatelessCase") {
    if (input == 0) return false;
    for (const tf::NameAttrList& branch : Attr(node, "branches").list().func()) {
      calls->push_back({branch.name(), input - 1});
    }
  } else {
    return false;
  }
  return true;
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
        bool keeps = false;
        if (ReadsVariable(node->op())) continue;
        const bool passes = PassesHandles(node->op());
        if (!passes && WrittenByCall(*node, input, &keeps)) return true;
        if (!keeps && !passes) continue;
        const auto [place, fresh] = places->emplace(node->name(), passes ? kAny : input);
        if (fresh) pending.push_back(node->name());
        // One handle in two places of a loop.
        if (!fresh && !passes && place->second != input) return true;
      }
    }
    return false;
  }

 private:
  // An op that is no call may do anything with a handle.
  bool WrittenByCall(const tf::NodeDef& node, int input, bool* keeps) {
    std::vector<Called> calls;
    if (!Calls(node, input, &calls, keeps)) return true;
    for (const Called& call : calls) {
      if (WrittenIn(call, *keeps)) return true;
    }
    return false;
  }

  bool WrittenIn(const Called& call, bool may_return) {
    const auto [entry, fresh] = written_.try_emplace({call.function, call.argument, may_return}, true);
    if (!fresh) return entry->second;  // a function that calls itself: not followed
    const tf::FunctionDef* function = functions_.Find(call.function);
    bool written = function == nullptr || call.argument >= function->signature().input_arg_size();
    if (!written) {
      const tf::FunctionDef& def = *function;
      Places places;
      written = Written(def.node_def(), def.signature().input_arg(call.argument).name(), &places);
      // A loop may hand it to its next round in its own place; nobody may anywhere else.
      for (int i = 0; i < def.signature().output_arg_size() && !written; ++i) {
        const auto returned = def.ret().find(def.signature().output_arg(i).name());
        if (returned == def.ret().end() || !IsAt(places, returned->second)) continue;
        if (def.signature().output_arg(i).type() != tf::DT_RESOURCE) continue;
        written = !may_return || i != call.argument;
      }
    }
    return written_[{call.function, call.argument, may_return}] = written;
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
