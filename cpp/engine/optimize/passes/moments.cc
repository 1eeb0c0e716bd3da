// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/moments.h"

#include "engine/optimize/passes/match.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

// The input of a Mean over the last axis, or empty.
std::string Moments::Averaged(const std::string& tensor) {
  const tf::NodeDef* node = pattern->Node(tensor, "Mean");
  if (node == nullptr || !Attr(*node, "keep_dims").b()) return "";
  const int dims = graph->Shape(node->input(0)).dims();
  const auto axes = Integers(graph->Constant(*node, 1));
  if (!axes || axes->size() != 1 || dims < 1) return "";
  return axes->front() == -1 || axes->front() == dims - 1 ? node->input(0) : "";
}

bool Moments::IsMean() { return Averaged(mean) == x; }

// x - m
bool Moments::IsOff(const std::string& tensor) {
  const tf::NodeDef* off = pattern->Node(tensor, "Sub");
  return off != nullptr && off->input(0) == x && ReadsMean(off->input(1));
}

bool Moments::IsVariance(const std::string& tensor) {
  const tf::NodeDef* sum = pattern->Sum(tensor);
  if (sum == nullptr) return false;
  int input = 0;
  while (input < 2 && !ScalarValue(graph, *sum, input, &epsilon)) ++input;
  if (input == 2) return false;
  const std::string squares = Averaged(sum->input(1 - input));
  if (squares.empty()) return false;
  if (const tf::NodeDef* difference = pattern->Node(squares, "SquaredDifference"); difference != nullptr) {
    return (difference->input(0) == x && ReadsMean(difference->input(1))) ||
           (difference->input(1) == x && ReadsMean(difference->input(0)));
  }
  if (const tf::NodeDef* square = pattern->Node(squares, "Square"); square != nullptr)
    return IsOff(square->input(0));
  const tf::NodeDef* square = pattern->Node(squares, "Mul");
  return square != nullptr && square->input(0) == square->input(1) && IsOff(square->input(0));
}

bool Moments::IsInverse(const std::string& tensor) {
  const tf::NodeDef* inverse = pattern->Node(tensor, "Rsqrt");
  return inverse != nullptr && IsVariance(inverse->input(0));
}

}  // namespace savedmodel::engine
