// SPDX-License-Identifier: Apache-2.0
// How a function's inputs and outputs lead through the tensors of its graph.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/graph/graph.h"
#include "savedmodel/signature.h"
#include "tensorflow/core/framework/types.pb.h"

namespace savedmodel::engine {

// The tensors of a run: distinct, and no fetch is fed.
struct FunctionGraph {
  std::vector<std::string> feeds;
  std::vector<tensorflow::DataType> feed_types;
  std::vector<std::string> fetches;
  std::vector<tensorflow::DataType> fetch_types;
  std::vector<std::string> targets;  // nodes that are run for their effects

  bool runs() const { return !fetches.empty() || !targets.empty(); }
  std::vector<std::string> ends() const;  // what a run has to reach: fetches and targets
};

struct CallPlan {
  // An output comes from a fetch, or, when it is an input, from the feed.
  struct Source {
    bool fed;
    std::size_t index;
  };

  // Completes the specs with what the graph says of their tensors; `label` begins error messages. Throws
  // Error for a tensor or target that the graph does not have, and for resources and variants.
  CallPlan(const GraphIndex& graph, const std::string& label, std::vector<TensorSpec>* inputs,
           std::vector<TensorSpec>* outputs, const std::vector<std::string>& targets = {});

  FunctionGraph graph;
  std::vector<std::size_t> feed_inputs;                         // the input that each is fed from
  std::vector<std::pair<std::size_t, std::size_t>> same_feeds;  // inputs that name one tensor
  std::vector<int> fetch_uses;                                  // outputs per fetch
  std::vector<Source> sources;                                  // per output
  std::string copies_because;                                   // empty: inputs may be borrowed
};

}  // namespace savedmodel::engine
