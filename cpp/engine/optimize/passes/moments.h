// SPDX-License-Identifier: Apache-2.0
// Mean and variance over the last axis, as a graph computes them.
#pragma once

#include <string>

#include "engine/optimize/passes/pattern.h"

namespace savedmodel::engine {

// `x` and its mean `m` are tensors that the caller has found; each question takes its nodes into the pattern.
struct Moments {
  Rewriter* graph;
  Pattern* pattern;
  std::string x;
  std::string mean;
  double epsilon = 0;  // what IsVariance found

  // m = Mean(x)
  bool IsMean();
  // Mean(SquaredDifference(x, m)) + epsilon, or of (x - m)^2
  bool IsVariance(const std::string& tensor);
  // Rsqrt of it
  bool IsInverse(const std::string& tensor);

 private:
  std::string Averaged(const std::string& tensor);
  bool ReadsMean(const std::string& tensor) { return pattern->Source(tensor) == mean; }
  bool IsOff(const std::string& tensor);
};

}  // namespace savedmodel::engine
