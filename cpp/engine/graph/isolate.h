// SPDX-License-Identifier: Apache-2.0
// A function of a graph as a graph of its own.
#pragma once

#include <string>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

struct IsolatedGraph {
  tensorflow::GraphDef graph;        // what the fetches need, with the library
  std::vector<std::string> feeds;    // tensors of Placeholder nodes, in the order given
  std::vector<std::string> fetches;  // tensors of Identity nodes
};

// Any tensor can be fed: its readers read a new Placeholder of type `feed_types[i]` instead, which has the
// shape of the old one, if there was one. Names of the rest stay.
IsolatedGraph Isolate(const tensorflow::GraphDef& graph, const std::vector<std::string>& feeds,
                      const std::vector<tensorflow::DataType>& feed_types,
                      const std::vector<std::string>& fetches,
                      const std::vector<tensorflow::DataType>& fetch_types);

}  // namespace savedmodel::engine
