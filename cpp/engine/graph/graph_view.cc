// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/graph_view.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "savedmodel/error.h"

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

}  // namespace savedmodel::engine
