// SPDX-License-Identifier: Apache-2.0
// Threads that go through the phases of one task together. They spin between phases, because these are too
// short for a fork and a join each. No thread waits for one that has not begun.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace savedmodel::engine::rnn {

class Lockstep {
 public:
  // work(phase, part): the parts of a phase may run concurrently; a phase begins when the previous one is
  // done.
  using Work = std::function<void(std::int64_t phase, int part)>;

  Lockstep(std::int64_t phases, int parts, Work work);

  // Call in a separate thread: runs `part`, from 1 on, of each phase, until the phases end or the other
  // threads seem to be away. May begin at any time.
  void Help(int part);

  // Call in the caller's thread, for each phase in turn: runs part 0, and the parts that no helper has begun.
  // Returns false if a helper has begun a part and does not return, because others want its core. That phase
  // is then incomplete, the helper may still work in it, and no phase may follow.
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
