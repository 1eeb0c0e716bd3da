// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/canonical.h"

#include <cstddef>
#include <map>
#include <set>
#include <unordered_map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/digest.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/rewriter.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// From this size on, bytes are represented by their digest.
constexpr std::size_t kLong = 1024;

std::string Shortened(const std::string& bytes) {
  return absl::StrCat(bytes.size(), bytes.size() < kLong ? ":" + bytes : "#" + Digest(bytes));
}

// Handles of resources: without a shared name, the resource has the node's.
bool IsHandle(const std::string& op) {
  static const auto* const ops = new std::set<std::string>{"HashTable",   "HashTableV2", "MutableHashTableV2",
                                                           "VarHandleOp", "Variable",    "VariableV2"};
  return ops->count(op) > 0;
}

// Ops that TensorFlow calls stateful, and that only read.
bool OnlyReads(const std::string& op) {
  static const auto* const ops = new std::set<std::string>{"Case",
                                                           "If",
                                                           "LookupTableFind",
                                                           "LookupTableFindV2",
                                                           "LookupTableSizeV2",
                                                           "ReadVariableOp",
                                                           "ResourceGather",
                                                           "ResourceGatherNd",
                                                           "StatefulPartitionedCall",
                                                           "VariableShape",
                                                           "VarIsInitializedOp",
                                                           "While"};
  return ops->count(op) > 0 || IsHandle(op);
}

// Hints for debugging and placement, which do not change a result.
bool IsHint(const std::string& attribute) {
  return attribute == "_class" || attribute == "_output_shapes" || attribute == "_user_specified_name" ||
         attribute == kReplacesAttr;
}

class Canonical {
 public:
  explicit Canonical(const tf::FunctionDefLibrary& library) : functions_(library) {}

  std::string OfGraph(const tf::GraphDef& graph, const std::vector<std::string>& feeds,
                      const std::vector<std::string>& fetches) {
    const GraphView view(graph);
    std::map<std::string, std::string> given;
    for (std::size_t i = 0; i < feeds.size(); ++i) given.emplace(NodeOf(feeds[i]), absl::StrCat("feed", i));
    const std::string key = Body(view, fetches, {}, given);
    return shares_ ? Shortened(key) : "";
  }

 private:
  // `given`: nodes that get their value from outside, and its name.
  std::string Body(const GraphView& view, const std::vector<std::string>& results,
                   const std::vector<std::string>& controls,
                   const std::map<std::string, std::string>& given) {
    std::unordered_map<std::string, std::size_t> numbers;
    std::vector<const tf::NodeDef*> order;
    std::string text;
    const auto refer = [&](const std::string& input) {
      const std::string name = NodeOf(input);
      const bool control = IsControl(input);
      const std::string rest = control ? "" : input.substr(name.size());
      const tf::NodeDef* node = view.Find(name);
      if (node == nullptr) {  // an argument
        absl::StrAppend(&text, "a", view.Argument(name), rest, ";");
        return;
      }
      const auto [entry, fresh] = numbers.try_emplace(name, order.size());
      if (fresh) order.push_back(node);
      absl::StrAppend(&text, control ? "^" : "", entry->second, rest == ":0" ? "" : rest, ";");
    };
    for (const std::string& result : results) refer(result);
    text += "|";
    for (const std::string& control : controls) refer("^" + control);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const tf::NodeDef& node = *order[i];
      const auto outside = given.find(node.name());
      absl::StrAppend(&text, "\n", outside == given.end() ? "" : outside->second);
      AddNode(node, &text);
      for (const std::string& input : node.input()) refer(input);
    }
    for (const tf::NodeDef& node : view.nodes()) CheckState(node);
    return text;
  }

  void AddNode(const tf::NodeDef& node, std::string* text) {
    absl::StrAppend(text, node.op(), "@", node.device(), "(");
    if (IsHandle(node.op())) absl::StrAppend(text, Shortened(node.name()));
    AddAttributes(node.attr(), text);
    text->append(")");
  }

  void AddAttributes(const google::protobuf::Map<std::string, tf::AttrValue>& attributes, std::string* text) {
    std::map<std::string, const tf::AttrValue*> sorted;
    for (const auto& [name, value] : attributes) {
      if (!IsHint(name)) sorted.emplace(name, &value);
    }
    for (const auto& [name, value] : sorted) {
      absl::StrAppend(text, name, "=");
      AddValue(*value, text);
    }
  }

  void AddValue(const tf::AttrValue& value, std::string* text) {
    if (value.has_func()) {
      AddCall(value.func(), text);
    } else if (value.has_tensor()) {
      tf::TensorProto rest;
      rest.set_dtype(value.tensor().dtype());
      *rest.mutable_tensor_shape() = value.tensor().tensor_shape();
      absl::StrAppend(text, Shortened(rest.SerializeAsString()));
      absl::StrAppend(text, value.tensor().tensor_content().empty()
                                ? Shortened(value.SerializeAsString())
                                : Shortened(value.tensor().tensor_content()));
    } else if (value.list().func_size() > 0) {
      for (const tf::NameAttrList& function : value.list().func()) AddCall(function, text);
    } else {
      absl::StrAppend(text, Shortened(value.SerializeAsString()));
    }
  }

  void AddCall(const tf::NameAttrList& call, std::string* text) {
    absl::StrAppend(text, "{", OfFunction(call.name()), " ");
    AddAttributes(call.attr(), text);
    text->append("}");
  }

  const std::string& OfFunction(const std::string& name) {
    const auto [entry, fresh] = keys_.try_emplace(name);
    const tf::FunctionDef* function = functions_.Find(name);
    if (!fresh || function == nullptr) {
      shares_ = shares_ && function != nullptr && !entry->second.empty();  // unknown, or it calls itself
      return entry->second;
    }
    const GraphView view(*function);
    std::vector<std::string> results, controls;
    std::string types;
    for (const auto& argument : function->signature().input_arg()) {
      absl::StrAppend(&types, argument.type(), ",");
    }
    for (const auto& result : function->signature().output_arg()) {
      absl::StrAppend(&types, ">", result.type());
      const auto found = function->ret().find(result.name());
      if (found != function->ret().end()) results.push_back(found->second);
    }
    for (const std::string& control : function->signature().control_output()) {
      const auto found = function->control_ret().find(control);
      if (found != function->control_ret().end()) controls.push_back(found->second);
    }
    std::string text = types + Body(view, results, controls, {});
    return keys_[name] = Shortened(text);
  }

  void CheckState(const tf::NodeDef& node) {
    const tf::OpDef* op = FindOp(node.op());
    const bool known = op != nullptr;
    shares_ = shares_ && known && (!op->is_stateful() || OnlyReads(node.op()));
  }

  const FunctionIndex functions_;
  std::map<std::string, std::string> keys_;  // by function; empty while it is being read
  bool shares_ = true;
};

}  // namespace

std::string CanonicalKey(const tf::GraphDef& graph, const std::vector<std::string>& feeds,
                         const std::vector<std::string>& fetches) {
  return Canonical(graph.library()).OfGraph(graph, feeds, fetches);
}

}  // namespace savedmodel::engine
