// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Captures file descriptor 2 while TensorFlow's static initialisers run, because they write before
// any log setting can reach them.
#pragma once

#include <string>
#include <vector>

namespace savedmodel::internal {

// Captures stderr; one object at a time. If a signal ends the process meanwhile, the captured text is written
// to the real descriptor first.
class StderrCapture {
 public:
  StderrCapture();
  ~StderrCapture();
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  // Restores the descriptor and returns the captured lines. Call it once.
  std::vector<std::string> Finish();
};

}  // namespace savedmodel::internal
