// SPDX-License-Identifier: Apache-2.0
// Follows values through a graph or a function's body.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/types.pb.h"

namespace savedmodel::engine {

// An output of a node, or a function's argument.
struct Value {
  const tensorflow::NodeDef* node = nullptr;  // null: the argument `index`
  int index = -1;
  bool operator==(const Value& other) const { return node == other.node && index == other.index; }
  bool operator!=(const Value& other) const { return !(*this == other); }
  bool known() const { return node != nullptr || index >= 0; }
  bool IsArgument() const { return node == nullptr && index >= 0; }
  bool Is(const char* op) const { return node != nullptr && node->op() == op; }
};

// A view: the graph or function must outlive it, and its nodes stay where they are.
class Dataflow {
 public:
  explicit Dataflow(const tensorflow::GraphDef& graph) : graph_(graph) {}
  explicit Dataflow(const tensorflow::FunctionDef& function) : graph_(function) {}

  // Resolves a reference ("node", "node:1", "node:output:1", "argument"); unknown for control inputs.
  Value Source(const std::string& reference) const;
  // The same, seen through nodes that pass their input on. Control inputs of those are added to `controls`.
  Value Resolve(const std::string& reference, std::vector<std::string>* controls = nullptr) const;
  // Input `i` of a node, resolved.
  Value Input(const Value& value, int i, std::vector<std::string>* controls = nullptr) const;

 private:
  GraphView graph_;
};

// As a graph writes it: "node", "node:1".
std::string Reference(const std::string& node, int index);

// The integers in a Const of rank 0 or 1.
std::optional<std::vector<std::int64_t>> Integers(const Value& value);
std::optional<std::int64_t> Integer(const Value& value);  // of rank 0
// The value that all elements of a float Const have; there is at least one.
std::optional<float> RepeatedNumber(const Value& value);
// The shape of a Const, of a variable or of what is read from one, if it is known whole.
std::optional<std::vector<std::int64_t>> StaticShape(const Dataflow& graph, const Value& value);

// True if the integer attributes of these names, such as masks, are 0 or not there.
bool AreZero(const Value& value, std::initializer_list<const char*> names);
// An attribute of the node; empty if it has none, or there is no node.
const tensorflow::AttrValue& Attr(const Value& value, std::string_view name);

}  // namespace savedmodel::engine
