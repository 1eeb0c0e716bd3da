// SPDX-License-Identifier: Apache-2.0
// Replaces Keras' loops of LSTM and GRU layers by one op each.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

struct RecurrentRewrite {
  std::string node;     // the loop
  std::string kind;     // "LSTM", "GRU"; empty: it stays a loop
  std::string why_not;  // then the reason
};

// Call before functions are inlined: keeps `While` from being lowered to Switch and Merge, and allows
// inlining the functions that Keras 2 puts around its layers.
void KeepLoops(tensorflow::GraphDef* graph);

// Replaces each loop of `graph` itself (functions inlined, loops functional) that computes exactly an LSTM or
// GRU with Keras' default activations. Weights may be constants, or variables that nothing assigns during a
// run. `keep`: fetched or fed nodes, which keep their names and values. Nodes that become unused stay.
// Reports every loop with the operations of a recurrent layer.
//
// The op runs on a CPU: do not request it where the placer would choose a GPU. Call rnn::RegisterOps() before
// the graph is used. For a sequence of no steps, the loop's graph may fail (the last of no outputs); the op
// then returns the initial state.
std::vector<RecurrentRewrite> FuseRecurrent(tensorflow::GraphDef* graph,
                                            const std::unordered_set<std::string>& keep);

}  // namespace savedmodel::engine
