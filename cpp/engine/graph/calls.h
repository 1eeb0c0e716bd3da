// SPDX-License-Identifier: Apache-2.0
// Nodes that call functions: calls, loops and branches.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

bool IsCall(const tensorflow::NodeDef& node);    // PartitionedCall
bool IsLoop(const tensorflow::NodeDef& node);    // While
bool IsBranch(const tensorflow::NodeDef& node);  // If, Case

// The attributes of a call, a loop (condition, body) or a branch that name what it runs with its inputs; none
// of other nodes.
std::vector<const char*> CalleeAttributes(const tensorflow::NodeDef& node);
// The names of the functions in them.
std::vector<std::string> Callees(const tensorflow::NodeDef& node);
// Calls `change` with each of them.
template <typename Change>
void ForEachCallee(tensorflow::NodeDef* node, const Change& change) {
  for (const char* name : CalleeAttributes(*node)) {
    tensorflow::AttrValue& value = (*node->mutable_attr())[name];
    if (!value.has_list()) {
      change(value.mutable_func());
      continue;
    }
    for (tensorflow::NameAttrList& function : *value.mutable_list()->mutable_func()) change(&function);
  }
}
// The input that is the first argument of the callees.
inline int FirstArgument(const tensorflow::NodeDef& node) { return IsBranch(node) ? 1 : 0; }

// All functions that a node names in its attributes, whatever it does with them.
std::vector<std::string> CalledFunctions(const tensorflow::NodeDef& node);

// The functions of a library by name. Refers to it.
class FunctionIndex {
 public:
  explicit FunctionIndex(const tensorflow::FunctionDefLibrary& library);
  // Null if there is none.
  const tensorflow::FunctionDef* Find(const std::string& name) const;
  // Those that a node names as its op or in its attributes.
  std::vector<const tensorflow::FunctionDef*> NamedBy(const tensorflow::NodeDef& node) const;

 private:
  std::unordered_map<std::string, const tensorflow::FunctionDef*> by_name_;
};

// Gives `graph` those functions of `library` that it calls, by way of others too, and no more: a saver's are
// as large as a model's.
void CopyNeededFunctions(const tensorflow::FunctionDefLibrary& library, tensorflow::GraphDef* graph);

}  // namespace savedmodel::engine
