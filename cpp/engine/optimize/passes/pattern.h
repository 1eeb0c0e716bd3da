// SPDX-License-Identifier: Apache-2.0
// The nodes inside a pattern, gathered while it is matched from its root upwards.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

class Pattern {
 public:
  Pattern(Rewriter* graph, const tensorflow::NodeDef* root) : graph_(graph), root_(root) {}

  // The float32 node of this op that makes a tensor, now inside; or null.
  const tensorflow::NodeDef* Node(const std::string& tensor, const char* op);
  const tensorflow::NodeDef* Sum(const std::string& tensor);  // AddV2 or Add
  // The input of an Identity or a StopGradient, now inside; or the tensor itself.
  std::string Source(const std::string& tensor);
  void Include(const std::vector<const tensorflow::NodeDef*>& nodes);
  void Clear() { inside_.clear(); }
  // True if only the root reads the inside from outside, so that nothing would be computed twice.
  bool IsAlone() const;

 private:
  Rewriter* graph_;
  const tensorflow::NodeDef* root_;
  std::vector<const tensorflow::NodeDef*> inside_;
};

}  // namespace savedmodel::engine
