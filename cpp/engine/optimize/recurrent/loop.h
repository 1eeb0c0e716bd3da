// SPDX-License-Identifier: Apache-2.0
// Reads a functional loop: the values that it carries, its number of steps, the computation of one step.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/dataflow.h"
#include "engine/optimize/recurrent/step.h"
#include "tensorflow/core/framework/function.pb.h"

namespace savedmodel::engine {

// The reason why a loop stays a loop; thrown.
struct Mismatch {
  std::string why;
};
inline void Require(bool condition, const char* why) {
  if (!condition) throw Mismatch{why};
}

// A scalar: a number, or a dimension of a tensor of the graph.
struct Extent {
  bool known() const { return number >= 0 || tensor.known(); }
  bool operator==(const Extent& other) const {
    return number == other.number && tensor == other.tensor && dim == other.dim;
  }
  std::int64_t number = -1;
  Value tensor;
  int dim = 0;
};

// Reads a scalar through the arithmetic that Keras wraps around lengths.
Extent ReadExtent(const Dataflow& graph, const Value& scalar);
// A dimension, traced back through transpositions and the like, so that equal ones compare equal.
Extent DimensionOf(const Dataflow& graph, Value tensor, int dim);

struct RecurrentLoop {
  RecurrentStep step;
  Extent trips;
  int x = -1;          // the loop's input with the list of x
  int y = -1;          // its input and output with the list of results; -1: none
  bool y_all = false;  // the list gets every step's result; else its first element gets the last one
  int h = -1, c = -1;
  int mask = -1;            // the loop's input with the list of masks; -1: none
  int previous = -1;        // with a mask: the previous step's result, if it is carried apart from h
  int masked_result = -1;   // the result of a masked step, if it is another input
  std::vector<bool> stays;  // output `i` is input `i`
};

// True if the body has the operations of a recurrent layer, so that a mismatch is worth reporting.
bool LooksRecurrent(const tensorflow::FunctionDef& body);

// Throws Mismatch.
RecurrentLoop ReadLoop(const Dataflow& graph, const tensorflow::NodeDef& loop,
                       const tensorflow::FunctionDef& cond, const tensorflow::FunctionDef& body);

}  // namespace savedmodel::engine
