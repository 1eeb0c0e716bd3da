// SPDX-License-Identifier: Apache-2.0
// Reports how a function's graph was optimized before its first run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace savedmodel {

struct PassReport {
  std::string name;
  std::string what;    // description
  int count = 0;       // number of replacements
  double seconds = 0;  // spent in it
};

struct OptimizationReport {
  std::string function;  // "signature 'serving_default'"
  bool optimized = false;
  std::string why_not;  // why the graph runs unchanged
  std::vector<PassReport> passes;
  std::vector<std::string> notes;  // what was left unchanged, and why
  int nodes_before = 0;            // after inlining, before any other step
  int nodes_after = 0;
  int variables_frozen = 0;
  std::int64_t frozen_bytes = 0;
  double seconds = 0;    // in total
  std::string executor;  // "sequential", "control flow", "session"
  // Ops whose calls have side effects or differ: they write variables, draw random numbers, print.
  std::vector<std::string> effects;
  // With Optimize::kInt8: layers whose products are in int8, by the names of their nodes.
  std::vector<std::string> int8_layers;
};

}  // namespace savedmodel
