// SPDX-License-Identifier: Apache-2.0
// A walk by the caller alone, or by a team of threads, and the choice between them. The results are the same.
#pragma once

#include <atomic>
#include <memory>

#include "engine/kernels/rnn/walk.h"

namespace savedmodel::engine::rnn {

void RunAlone(const std::shared_ptr<const Packed>& packed, const Sequence& sequence);

// Each of `parts` threads takes its own blocks of units through all steps, so that their weights stay in its
// cache. `threads.start` is asked for all but the caller; who comes late or does not come back is not waited
// for.
void RunTogether(const std::shared_ptr<const Packed>& packed, const Sequence& sequence, int parts,
                 const Threads& threads);

// Whether help pays is seen from the time that runs take: on a busy machine helpers come late, or take the
// caller's core. Runs may learn at once; then one of them is forgotten.
class HelpChoice {
 public:
  bool Together();                         // for the next run
  void Learn(bool together, double rate);  // time / work

 private:
  std::atomic<unsigned> runs_{0};
  std::atomic<double> alone_{0};  // the rate without help
  std::atomic<int> wait_{0};      // runs without help before the next trial
  std::atomic<int> backoff_{0};
  std::atomic<int> misses_{0};  // runs with help in a row that took longer than without
};

}  // namespace savedmodel::engine::rnn
