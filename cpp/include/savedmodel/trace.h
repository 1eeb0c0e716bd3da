// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace savedmodel {

struct TraceNode {
  std::string node;
  std::string op;
};

// The execution of one node of the graph that ran: the optimized one, if the function has one.
struct TraceEvent {
  std::string device;  // "/job:localhost/replica:0/task:0/device:CPU:0"
  std::string node;
  std::string op;
  std::uint32_t thread = 0;
  std::int64_t start_ns = 0;  // since the epoch
  std::int64_t duration_ns = 0;
  // Another thread did this part of a node's work. The node's own event covers the time already.
  bool part = false;
  // What the node computes: the nodes of the graph as loaded, in its order. Empty if it is one of them, or if
  // that is not known.
  std::vector<TraceNode> origins;
};

struct Trace {
  std::vector<TraceEvent> events;
  std::string run_metadata;  // serialized tensorflow.RunMetadata
  // The whole run, with what it takes beside the nodes. In a session: from the first node to the last.
  std::int64_t start_ns = 0;
  std::int64_t duration_ns = 0;
  bool session = false;  // a TensorFlow session ran the graph as loaded
};

}  // namespace savedmodel
