// SPDX-License-Identifier: Apache-2.0
// Puts one op where Keras wrote a loop: LSTM and GRU layers.
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

// To be done before functions are inlined: keeps `While` from being lowered to Switch and Merge, and lets the
// functions be inlined that Keras 2 puts around its layers.
void KeepLoops(tensorflow::GraphDef* graph);

// Replaces each loop of `graph` itself (functions inlined, loops functional) that computes what an LSTM or
// GRU with Keras' default activations does, and nothing else. Weights may be constants or variables that
// nothing assigns during a run. `keep`: nodes that are fetched or fed; they keep their names and values.
// Nodes that nobody needs any more are left in place. Reports every loop with the operations of a recurrent
// layer.
//
// The op runs on a CPU: don't ask for it where the placer would choose a GPU. rnn::RegisterOps() must have
// been called before the graph is used. Where a sequence of no steps made the loop's graph fail (the last of
// no outputs), the op's gives the initial state.
std::vector<RecurrentRewrite> FuseRecurrent(tensorflow::GraphDef* graph,
                                            const std::unordered_set<std::string>& keep);

}  // namespace savedmodel::engine
