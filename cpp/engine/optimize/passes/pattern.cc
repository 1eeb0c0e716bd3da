// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/pattern.h"

#include <algorithm>

#include "engine/optimize/passes/match.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

const tf::NodeDef* Pattern::Node(const std::string& tensor, const char* op) {
  const TensorRef id(tensor);
  const tf::NodeDef* node = id.index == 0 ? graph_->Find(id.node) : nullptr;
  if (!IsPlain(*graph_, node, op)) return nullptr;
  inside_.push_back(node);
  return node;
}

const tf::NodeDef* Pattern::Sum(const std::string& tensor) {
  const tf::NodeDef* node = Node(tensor, "AddV2");
  return node != nullptr ? node : Node(tensor, "Add");
}

std::string Pattern::Source(const std::string& tensor) {
  const tf::NodeDef* node = graph_->Find(TensorRef(tensor).node);
  if (node == nullptr || (node->op() != "StopGradient" && node->op() != "Identity")) return tensor;
  inside_.push_back(node);
  return node->input(0);
}

void Pattern::Include(const std::vector<const tf::NodeDef*>& nodes) {
  inside_.insert(inside_.end(), nodes.begin(), nodes.end());
}

bool Pattern::IsAlone() const {
  for (const tf::NodeDef* node : inside_) {
    for (const Rewriter::Reader& reader : graph_->Readers(*node)) {
      if (reader.node != root_ && std::find(inside_.begin(), inside_.end(), reader.node) == inside_.end())
        return false;
    }
  }
  return true;
}

}  // namespace savedmodel::engine
