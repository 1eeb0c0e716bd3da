// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Holds what is written to file descriptor 2 while TensorFlow's static initialisers run: they write
// before any log setting can reach them.
#pragma once

#include <string>
#include <vector>

namespace savedmodel::internal {

// One at a time. Should the process die meanwhile by a signal, what was held goes to the real descriptor
// first.
class StderrCapture {
 public:
  StderrCapture();
  ~StderrCapture();
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  // Gives the descriptor back, and the lines that were written to it. Once only.
  std::vector<std::string> Finish();
};

}  // namespace savedmodel::internal
