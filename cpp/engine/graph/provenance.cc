// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/provenance.h"

#include "engine/graph/graph.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsControl(const std::string& input) { return !input.empty() && input[0] == '^'; }

// Which input of a call is the function's first argument.
int FirstArgument(const tf::NodeDef& node, bool as_op) {
  const std::string& op = node.op();
  if (as_op || op == "PartitionedCall" || op == "StatefulPartitionedCall") return 0;
  if (op == "If" || op == "StatelessIf" || op == "Case" || op == "StatelessCase") return 1;
  return -1;  // loops change their arguments, others pass some on
}

// Nodes whose handles are those of one variable have one of these.
std::string VariableKey(const tf::NodeDef& node) {
  const auto text = [&](const char* name) {
    const auto attribute = node.attr().find(name);
    return attribute == node.attr().end() ? std::string() : std::string(attribute->second.s());
  };
  const std::string shared = text("shared_name");
  return text("container") + "\n" + (shared.empty() ? node.name() : shared);
}

// "a:0" of "a" or "a:0", whatever a damaged file names.
std::string GraphTensor(const std::string& name) {
  return name.find(':') == std::string::npos ? name + ":0" : name;
}

}  // namespace

std::string NodeOfInput(const std::string& input) {
  const std::size_t begin = IsControl(input) ? 1 : 0;
  return input.substr(begin, input.find(':') - begin);
}

Scopes::Scopes(const tf::GraphDef& graph) {
  for (const tf::NodeDef& node : graph.node()) graph_.nodes.emplace(node.name(), &node);
  for (const tf::FunctionDef& function : graph.library().function()) {
    Scope& scope = functions_[function.signature().name()];
    scope.function = &function;
    for (const tf::NodeDef& node : function.node_def()) scope.nodes.emplace(node.name(), &node);
  }
  for (const tf::GradientDef& gradient : graph.library().gradient()) {
    gradients_[gradient.function_name()] = gradient.gradient_func();
  }
  AddCallers(graph_);
  for (const auto& [name, scope] : functions_) AddCallers(scope);
}

void Scopes::AddCallers(const Scope& scope) {
  for (const auto& [name, node] : scope.nodes) {
    for (const Scope* called : CalledBy(*node)) {
      const bool as_op = called->function->signature().name() == node->op();
      const_cast<Scope*>(called)->callers.push_back({&scope, node, FirstArgument(*node, as_op)});
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
  const auto found = scope.nodes.find(NodeOfInput(tensor));
  if (found == scope.nodes.end()) return scope.function != nullptr && TraceArgument(scope, tensor);
  const tf::NodeDef& node = *found->second;
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
  const auto& nodes = scopes_.graph().nodes;
  const auto variable = nodes.find(NodeOfInput(handle));
  if (variable == nodes.end() || variable->second->op() != "VarHandleOp") return false;
  const std::string key = VariableKey(*variable->second);
  for (const auto& [name, scope] : scopes_.functions()) {
    for (const auto& [inner, node] : scope.nodes) {
      if (node->op() == "VarHandleOp" && VariableKey(*node) == key) return false;
    }
  }
  bool assigned = false;
  for (const auto& [name, node] : nodes) {
    for (int i = 0; i < node->input_size(); ++i) {
      const std::string& input = node->input(i);
      const auto producer = nodes.find(NodeOfInput(input));
      if (IsControl(input) || producer == nodes.end() || producer->second->op() != "VarHandleOp" ||
          VariableKey(*producer->second) != key || node->op() == "ReadVariableOp" ||
          node->op() == "VarIsInitializedOp") {
        continue;
      }
      if (node->op() != "AssignVariableOp" || i != 0 || node->input_size() < 2 ||
          !OnlyFromSources(scopes_.graph(), node->input(1))) {
        return false;
      }
      assigned = true;
    }
  }
  return assigned;
}

}  // namespace savedmodel::engine
