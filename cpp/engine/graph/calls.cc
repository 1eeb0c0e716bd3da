// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/calls.h"

#include <unordered_set>

#include "engine/graph/attributes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

bool IsCall(const tf::NodeDef& node) {
  return node.op() == "PartitionedCall" || node.op() == "StatefulPartitionedCall";
}

bool IsLoop(const tf::NodeDef& node) { return node.op() == "While" || node.op() == "StatelessWhile"; }

namespace {

bool IsCase(const tf::NodeDef& node) { return node.op() == "Case" || node.op() == "StatelessCase"; }

}  // namespace

bool IsBranch(const tf::NodeDef& node) {
  return node.op() == "If" || node.op() == "StatelessIf" || IsCase(node);
}

std::vector<const char*> CalleeAttributes(const tf::NodeDef& node) {
  if (IsCall(node)) return {"f"};
  if (IsLoop(node)) return {"cond", "body"};
  if (IsCase(node)) return {"branches"};
  if (IsBranch(node)) return {"then_branch", "else_branch"};
  return {};
}

std::vector<std::string> Callees(const tf::NodeDef& node) {
  std::vector<std::string> names;
  for (const char* attribute : CalleeAttributes(node)) {
    const tf::AttrValue& value = Attr(node, attribute);
    for (const tf::NameAttrList& function : value.list().func()) names.push_back(function.name());
    if (!value.has_list()) names.push_back(value.func().name());
  }
  return names;
}

std::vector<std::string> CalledFunctions(const tf::NodeDef& node) {
  std::vector<std::string> names;
  for (const auto& [key, value] : node.attr()) {
    if (value.has_func()) names.push_back(value.func().name());
    for (const tf::NameAttrList& function : value.list().func()) names.push_back(function.name());
  }
  return names;
}

FunctionIndex::FunctionIndex(const tf::FunctionDefLibrary& library) {
  for (const tf::FunctionDef& function : library.function()) {
    by_name_.emplace(function.signature().name(), &function);
  }
}

const tf::FunctionDef* FunctionIndex::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::vector<const tf::FunctionDef*> FunctionIndex::NamedBy(const tf::NodeDef& node) const {
  std::vector<const tf::FunctionDef*> called;
  std::vector<std::string> names = CalledFunctions(node);
  names.push_back(node.op());
  for (const std::string& name : names) {
    if (const tf::FunctionDef* function = Find(name); function != nullptr) called.push_back(function);
  }
  return called;
}

void CopyNeededFunctions(const tf::FunctionDefLibrary& library, tf::GraphDef* graph) {
  const FunctionIndex functions(library);
  std::unordered_map<std::string, std::string> gradients;
  for (const tf::GradientDef& gradient : library.gradient()) {
    gradients.emplace(gradient.function_name(), gradient.gradient_func());
  }
  std::unordered_set<const tf::FunctionDef*> needed;
  std::vector<const tf::FunctionDef*> pending;
  const auto need = [&](const tf::FunctionDef* function) {
    if (function != nullptr && needed.insert(function).second) pending.push_back(function);
  };
  const auto need_called = [&](const auto& nodes) {
    for (const tf::NodeDef& node : nodes) {
      for (const tf::FunctionDef* function : functions.NamedBy(node)) need(function);
    }
  };
  need_called(graph->node());
  while (!pending.empty()) {
    const tf::FunctionDef& function = *pending.back();
    pending.pop_back();
    need_called(function.node_def());
    const auto gradient = gradients.find(function.signature().name());
    if (gradient != gradients.end()) need(functions.Find(gradient->second));
  }
  for (const tf::FunctionDef& function : library.function()) {
    if (needed.count(&function) > 0) *graph->mutable_library()->add_function() = function;
  }
  for (const tf::GradientDef& gradient : library.gradient()) {
    if (needed.count(functions.Find(gradient.function_name())) > 0)
      *graph->mutable_library()->add_gradient() = gradient;
  }
}

}  // namespace savedmodel::engine
