// SPDX-License-Identifier: Apache-2.0
// Computes a sequence in the caller alone or in a team of threads, and chooses between them. The results are
// the same.
#pragma once

#include <atomic>
#include <memory>

#include "engine/kernels/rnn/walk.h"

namespace savedmodel::engine::rnn {

void RunAlone(const std::shared_ptr<const Packed>& packed, const Sequence& sequence);

// Each of `parts` threads takes its own blocks of units through all steps, so that their weights stay in its
// cache. `threads.start` is called for all but the caller's part. A thread that comes late or does not return
// is not waited for.
void RunTogether(const std::shared_ptr<const Packed>& packed, const Sequence& sequence, int parts,
                 const Threads& threads);

// Decides from the times of runs whether help pays: on a busy machine helpers come late, or take the caller's
// core. Concurrent runs may call Learn; one of their results is then lost.
class HelpChoice {
 public:
  bool Together();                         // the decision for the next run
  void Learn(bool together, double rate);  // time / work

 private:
  std::atomic<unsigned> runs_{0};
  std::atomic<double> alone_{0};  // the rate without help
  std::atomic<int> wait_{0};      // runs without help before the next trial
  std::atomic<int> backoff_{0};
  std::atomic<int> misses_{0};  // runs with help, in a row, that were slower than without
};

}  // namespace savedmodel::engine::rnn
