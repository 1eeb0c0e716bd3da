// SPDX-License-Identifier: Apache-2.0
// Parts of graphs for tests of code that reads them: they are never run, so they have no dtypes.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::testing {

inline tensorflow::NodeDef Node(const std::string& name, const std::string& op,
                                const std::vector<std::string>& inputs = {}) {
  tensorflow::NodeDef node;
  node.set_name(name);
  node.set_op(op);
  for (const std::string& input : inputs) node.add_input(input);
  return node;
}

// Adds attributes that name these functions.
inline tensorflow::NodeDef Calls(tensorflow::NodeDef node, std::initializer_list<const char*> functions) {
  int i = 0;
  for (const char* function : functions) {
    (*node.mutable_attr())["f" + std::to_string(i++)].mutable_func()->set_name(function);
  }
  return node;
}

}  // namespace savedmodel::testing
