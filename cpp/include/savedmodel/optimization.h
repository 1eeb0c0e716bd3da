// SPDX-License-Identifier: Apache-2.0
// What was done to a function's graph before it ran for the first time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace savedmodel {

struct PassReport {
  std::string name;
  std::string what;    // it does
  int count = 0;       // how often it fired
  double seconds = 0;  // spent in it
};

struct OptimizationReport {
  std::string function;  // "signature 'serving_default'"
  bool optimized = false;
  std::string why_not;  // the graph runs as it is
  std::vector<PassReport> passes;
  std::vector<std::string> notes;  // what was left as it is, and why
  int nodes_before = 0;            // calls inlined, nothing else done
  int nodes_after = 0;
  int variables_frozen = 0;
  std::int64_t frozen_bytes = 0;
  double seconds = 0;    // in all
  std::string executor;  // "sequential", "control flow", "session"
  // Ops whose calls leave something behind or differ: they write variables, draw random numbers, print.
  std::vector<std::string> effects;
};

}  // namespace savedmodel
