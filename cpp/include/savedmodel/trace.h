// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace savedmodel {

// The execution of one node.
struct TraceEvent {
  std::string device;  // "/job:localhost/replica:0/task:0/device:CPU:0"
  std::string node;
  std::string op;
  std::uint32_t thread = 0;
  std::int64_t start_ns = 0;  // since the epoch
  std::int64_t duration_ns = 0;
};

struct Trace {
  std::vector<TraceEvent> events;
  std::string run_metadata;  // serialized tensorflow.RunMetadata
};

}  // namespace savedmodel
