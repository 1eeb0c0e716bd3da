// SPDX-License-Identifier: Apache-2.0
// Computes a batch's sequence in phases. The projection of as many steps as fit is one phase, then each of
// these steps is one (two for a GRU whose reset comes before), and so on.
#pragma once

#include <memory>

#include "engine/kernels/rnn/packed.h"

namespace savedmodel::engine::rnn {

class Walk {
 public:
  // `shared`: phases may run in threads that outlive the sequence's memory, so x is copied. `before`: the
  // number of earlier steps; the direction of sums depends on a step's number.
  Walk(std::shared_ptr<const Packed> packed, const Sequence& sequence, bool shared, Index before = 0);

  Index phases() const { return phases_; }
  // Computes some blocks of a phase, in any thread, concurrently with others. All earlier phases must be
  // done.
  void Run(Index phase, Index begin, Index end);
  // Call after each phase, before the end of the next: writes a step's y.
  void WriteStep(Index phase, const Sequence& sequence) const;
  // Call after the last phase.
  void WriteStates(const Sequence& sequence) const;
  // The rest of the sequence, from the step of `phase` on. It refers to states in this object, which are not
  // written before the phase is done.
  Sequence Rest(Index phase, const Sequence& sequence) const;

 private:
  struct Place {
    Index step;
    bool project, second, last;  // last: it completes the step
  };
  Place Find(Index phase) const;
  float* h(Index step) const { return states_.get() + step % 2 * state_; }
  float* c(Index step) const { return states_.get() + (2 + step % 2) * state_; }
  // The mask of a step; null if there is none.
  const bool* mask(Index step) const { return mask_ == nullptr ? nullptr : mask_.get() + step * rows_; }
  bool MaskedWhole(Index step) const;
  // Restores the states of masked rows, in some blocks.
  void Restore(Index step, Index begin, Index end) const;

  const std::shared_ptr<const Packed> packed_;
  const Index rows_, steps_;
  const Index padded_, state_;  // floats per row, and in total
  const Index before_, chunk_, phases_per_step_, phases_;
  Floats copy_, projected_, states_, between_;
  std::unique_ptr<bool[]> mask_;  // [steps, rows]
  Projection projection_ = {};
};

}  // namespace savedmodel::engine::rnn
