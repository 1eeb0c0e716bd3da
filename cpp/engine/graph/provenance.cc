// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/provenance.h"

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/variable_use.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Which input is the called function's first argument; -1 for loops, which change their arguments, and for
// others, which pass some on.
int FirstArgumentOf(const tf::NodeDef& node, bool as_op) {
  return as_op || IsCall(node) || IsBranch(node) ? FirstArgument(node) : -1;
}

// "a:0" of "a" or "a:0", whatever a damaged file names.
std::string GraphTensor(const std::string& name) {
  return name.find(':') == std::string::npos ? name + ":0" : name;
}

}  // namespace

Scopes::Scopes(const tf::GraphDef& graph) : graph_(graph) {
  for (const tf::FunctionDef& function : graph.library().function()) {
    functions_.emplace(function.signature().name(), function);
  }
  for (const tf::GradientDef& gradient : graph.library().gradient()) {
    gradients_[gradient.function_name()] = gradient.gradient_func();
  }
  AddCallers(graph_);
  for (const auto& [name, scope] : functions_) AddCallers(scope);
}

void Scopes::AddCallers(const Scope& scope) {
  for (const tf::NodeDef& node : scope.view.nodes()) {
    for (const Scope* called : CalledBy(node)) {
      const bool as_op = called->function->signature().name() == node.op();
      const_cast<Scope*>(called)->callers.push_back({&scope, &node, FirstArgumentOf(node, as_op)});
    }
  }
}

std::vector<const Scope*> Scopes::CalledBy(const tf::NodeDef& node) const {
  std::vector<std::string> names = CalledFunctions(node);
  names.push_back(node.op());
  std::vector<const Scope*> called;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto function = functions_.find(names[i]);
    if (function == functions_.end()) continue;
    called.push_back(&function->second);
    const auto gradient = gradients_.find(names[i]);
    if (gradient != gradients_.end() && names.size() < 64) names.push_back(gradient->second);
  }
  return called;
}

Provenance::Provenance(const Scopes& scopes, std::set<std::string> sources) : scopes_(scopes) {
  for (const std::string& source : sources) {
    if (!source.empty()) sources_.insert(GraphTensor(source));
  }
}

bool Provenance::OnlyFromSources(const Scope& scope, const std::string& tensor) {
  const auto [entry, fresh] = known_.emplace(std::make_pair(&scope, tensor), false);
  if (!fresh) return entry->second;  // false while it is being looked at: a circle
  return entry->second = Trace(scope, tensor);
}

bool Provenance::Trace(const Scope& scope, const std::string& tensor) {
  if (tensor.empty() || IsControl(tensor)) return false;
  if (scope.function == nullptr && sources_.count(GraphTensor(tensor)) > 0) return true;
  const tf::NodeDef* found = scope.view.Source(tensor);
  if (found == nullptr) return scope.function != nullptr && TraceArgument(scope, tensor);
  const tf::NodeDef& node = *found;
  if (node.input_size() == 0) return false;
  if (node.op() == "Identity") return OnlyFromSources(scope, node.input(0));
  if (node.op() == "ReadVariableOp" && scope.function == nullptr) return TraceVariable(node.input(0));
  return false;
}

bool Provenance::TraceArgument(const Scope& scope, const std::string& name) {
  int index = -1;
  const auto& arguments = scope.function->signature().input_arg();
  for (int i = 0; i < arguments.size(); ++i) {
    // A list of tensors shifts the ones after it.
    if (!arguments[i].number_attr().empty() || !arguments[i].type_list_attr().empty()) return false;
    if (arguments[i].name() == name) index = i;
  }
  if (index < 0) return false;
  for (const Scope::Caller& caller : scope.callers) {  // a function without callers never runs
    const int input = caller.first + index;
    if (caller.first < 0 || input >= caller.node->input_size()) return false;
    if (!OnlyFromSources(*caller.scope, caller.node->input(input))) return false;
  }
  return true;
}

// A TF2 asset's path is assigned to a variable, which the table's initializer reads.
bool Provenance::TraceVariable(const std::string& handle) {
  const GraphView& graph = scopes_.graph().view;
  const tf::NodeDef* variable = graph.Source(handle);
  if (variable == nullptr || variable->op() != "VarHandleOp") return false;
  const std::string key = VariableKey(*variable);
  if (key.empty()) return false;
  // A handle without a name may be any variable's.
  const auto is_same = [&](const tf::NodeDef* node) {
    if (node == nullptr || node->op() != "VarHandleOp") return false;
    return VariableKey(*node) == key || Attr(*node, "shared_name").s().empty();
  };
  for (const auto& [name, scope] : scopes_.functions()) {
    for (const tf::NodeDef& node : scope.view.nodes()) {
      if (is_same(&node)) return false;
    }
  }
  bool assigned = false;
  for (const tf::NodeDef& node : graph.nodes()) {
    if (node.op() == "ReadVariableOp" || node.op() == "VarIsInitializedOp") continue;
    for (int i = 0; i < node.input_size(); ++i) {
      if (IsControl(node.input(i)) || !is_same(graph.Source(node.input(i)))) continue;
      if (node.op() != "AssignVariableOp" || i != 0 || node.input_size() < 2 ||
          !OnlyFromSources(scopes_.graph(), node.input(1))) {
        return false;
      }
      assigned = true;
    }
  }
  return assigned;
}

}  // namespace savedmodel::engine
