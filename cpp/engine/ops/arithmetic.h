// SPDX-License-Identifier: Apache-2.0
// _SavedmodelArithmetic: sums, differences, products and quotients of float32 rows with one constant after
// the other, each step rounded as TensorFlow's own op rounds it, and an activation.
#pragma once

#include <string>
#include <vector>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kArithmeticOp[] = "_SavedmodelArithmetic";

struct ArithmeticStep {
  std::string kind;      // Add, Sub, SubFrom, Mul or RealDiv
  std::string constant;  // a scalar, or a value for each index of the last axis
};
tensorflow::NodeDef ArithmeticNode(const std::string& x, const std::vector<ArithmeticStep>& steps,
                                   const std::string& activation, float alpha);

}  // namespace savedmodel::engine
