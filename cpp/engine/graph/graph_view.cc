// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/graph_view.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "savedmodel/error.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

TensorRef::TensorRef(const std::string& text) : node(NodeOf(text)), index(0) {
  const auto colon = text.rfind(':');
  if (IsControl(text)) {
    index = kControl;
  } else if (colon != std::string::npos) {
    index = std::atoi(text.c_str() + colon + 1);
  }
}

TensorRef TensorRef::Parse(const std::string& text) {
  const auto colon = text.rfind(':');
  TensorRef tensor(text.substr(0, colon), 0);
  if (colon != std::string::npos) {
    const std::string digits = text.substr(colon + 1);
    const bool number =
        !digits.empty() && digits.size() < 7 && digits.find_first_not_of("0123456789") == std::string::npos;
    if (!number) tensor.node.clear();
    if (number) tensor.index = std::stoi(digits);
  }
  if (tensor.node.empty() || IsControl(tensor.node)) {
    throw UsageError(UsageError::Kind::kValue,
                     "'" + text + "' is not the name of a tensor, such as 'dense/BiasAdd:0'");
  }
  return tensor;
}

std::string NodeOf(const std::string& input) {
  const std::size_t begin = IsControl(input) ? 1 : 0;
  return input.substr(begin, input.find(':') - begin);
}

int CountDataInputs(const tf::NodeDef& node) {
  return static_cast<int>(std::count_if(node.input().begin(), node.input().end(),
                                        [](const std::string& input) { return !IsControl(input); }));
}

bool HasControlInputs(const tf::NodeDef& node) { return CountDataInputs(node) != node.input_size(); }

GraphView::GraphView(const Nodes& nodes) : nodes_(&nodes) {
  for (const tf::NodeDef& node : nodes) by_name_.emplace(node.name(), &node);
}

GraphView::GraphView(const tf::FunctionDef& function) : GraphView(function.node_def()) {
  for (const auto& argument : function.signature().input_arg()) {
    const int index = static_cast<int>(arguments_.size());
    arguments_.emplace(argument.name(), index);
  }
}

const tf::NodeDef* GraphView::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

int GraphView::Argument(const std::string& name) const {
  const auto found = arguments_.find(name);
  return found == arguments_.end() ? -1 : found->second;
}

const std::vector<GraphView::Reader>& GraphView::Readers(const std::string& name) const {
  static const auto* const kNone = new std::vector<Reader>();
  if (readers_.empty()) {
    for (const tf::NodeDef& node : *nodes_) {
      for (int i = 0; i < node.input_size() && !IsControl(node.input(i)); ++i) {
        readers_[NodeOf(node.input(i))].push_back({&node, i});
      }
    }
  }
  const auto found = readers_.find(name);
  return found == readers_.end() ? *kNone : found->second;
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

std::vector<std::string> CalledFunctions(const tf::NodeDef& node) {
  std::vector<std::string> names;
  for (const auto& [key, value] : node.attr()) {
    if (value.has_func()) names.push_back(value.func().name());
    for (const tf::NameAttrList& function : value.list().func()) names.push_back(function.name());
  }
  return names;
}

void CopyNeededFunctions(const tf::FunctionDefLibrary& library, tf::GraphDef* graph) {
  std::unordered_map<std::string, int> index;
  for (int i = 0; i < library.function_size(); ++i) {
    index.emplace(library.function(i).signature().name(), i);
  }
  std::unordered_map<std::string, std::string> gradients;
  for (const tf::GradientDef& gradient : library.gradient()) {
    gradients.emplace(gradient.function_name(), gradient.gradient_func());
  }
  std::vector<bool> needed(static_cast<std::size_t>(library.function_size()));
  std::vector<int> pending;
  const auto need = [&](const std::string& name) {
    const auto found = index.find(name);
    if (found == index.end() || needed[static_cast<std::size_t>(found->second)]) return;
    needed[static_cast<std::size_t>(found->second)] = true;
    pending.push_back(found->second);
  };
  const auto need_called = [&](const auto& nodes) {
    for (const tf::NodeDef& node : nodes) {
      need(node.op());
      for (const std::string& name : CalledFunctions(node)) need(name);
    }
  };
  need_called(graph->node());
  while (!pending.empty()) {
    const tf::FunctionDef& function = library.function(pending.back());
    pending.pop_back();
    need_called(function.node_def());
    const auto gradient = gradients.find(function.signature().name());
    if (gradient != gradients.end()) need(gradient->second);
  }
  for (int i = 0; i < library.function_size(); ++i) {
    if (needed[static_cast<std::size_t>(i)]) *graph->mutable_library()->add_function() = library.function(i);
  }
  for (const tf::GradientDef& gradient : library.gradient()) {
    const auto found = index.find(gradient.function_name());
    if (found == index.end() || !needed[static_cast<std::size_t>(found->second)]) continue;
    *graph->mutable_library()->add_gradient() = gradient;
  }
}

}  // namespace savedmodel::engine
