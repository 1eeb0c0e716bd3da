// SPDX-License-Identifier: Apache-2.0
// Threads that go through the phases of one piece of work together, far more often than a fork and a join
// could pay: they spin between phases. Nobody is waited for who has not begun.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace savedmodel::engine::rnn {

class Lockstep {
 public:
  // work(phase, part): the parts of a phase may run at once, and a phase begins when the one before is done.
  using Work = std::function<void(std::int64_t phase, int part)>;

  Lockstep(std::int64_t phases, int parts, Work work);

  // In a thread of its own: does `part`, from 1 on, of each phase, until there are no more or until the
  // others seem to be away. May begin at any time.
  void Help(int part);

  // In the caller, for each phase in turn: does part 0, and the parts that no helper has begun. False: a
  // helper has begun one and does not come back (others want its core). Then the phase is not done, that
  // helper may still work in it, and there are no more phases.
  bool Run(std::int64_t phase);

 private:
  // 2 * phase: to be done; + 1: begun. Below zero: given up.
  struct alignas(64) Part {
    std::atomic<std::int64_t> state{0};
  };

  bool Await(Part& part, std::int64_t state, std::int64_t patience_ns) const;
  bool TryWork(std::int64_t phase, int part);

  const std::int64_t phases_;
  const int parts_;
  const Work work_;
  const std::unique_ptr<Part[]> part_;
};

}  // namespace savedmodel::engine::rnn
