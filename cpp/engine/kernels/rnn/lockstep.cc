// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/rnn/lockstep.h"

#include <utility>

#include "engine/threads/wait.h"

namespace savedmodel::engine::rnn {
namespace {

// Time beyond a part's own. A thread that has lost its core is away for some milliseconds.
constexpr std::int64_t kCallerPatienceNs = 50'000;
constexpr std::int64_t kHelperPatienceNs = 200'000;
constexpr int kPausesPerLook = 64;

}  // namespace

Lockstep::Lockstep(std::int64_t phases, int parts, Work work)
    : phases_(phases),
      parts_(parts),
      work_(std::move(work)),
      part_(std::make_unique<Part[]>(static_cast<std::size_t>(parts))) {}

bool Lockstep::Await(Part& part, std::int64_t state, std::int64_t patience_ns) const {
  std::int64_t until = 0;
  for (;;) {
    for (int i = 0; i < kPausesPerLook; ++i) {
      const std::int64_t now = part.state.load(std::memory_order_acquire);
      if (now >= state) return true;
      if (now < 0) return false;
      Pause();
    }
    const std::int64_t time = NowNs();
    if (until == 0) until = time + patience_ns;
    if (time >= until) return false;
  }
}

bool Lockstep::TryWork(std::int64_t phase, int part) {
  std::int64_t expected = 2 * phase;
  std::atomic<std::int64_t>& state = part_[static_cast<std::size_t>(part)].state;
  if (!state.compare_exchange_strong(expected, expected + 1, std::memory_order_acq_rel)) return false;
  work_(phase, part);
  // Fails if the caller has given up; Help will see it.
  expected = 2 * phase + 1;
  state.compare_exchange_strong(expected, expected + 1, std::memory_order_acq_rel);
  return true;
}

void Lockstep::Help(int part) {
  std::int64_t patience = kHelperPatienceNs;
  for (;;) {
    const std::int64_t state = part_[static_cast<std::size_t>(part)].state.load(std::memory_order_acquire);
    const std::int64_t phase = (state + 1) / 2;  // the caller may be running one
    if (state < 0 || phase >= phases_) return;
    for (int other = 0; other < parts_; ++other) {
      if (!Await(part_[static_cast<std::size_t>(other)], 2 * phase, patience)) return;
    }
    const std::int64_t begin = NowNs();
    TryWork(phase, part);
    patience = kHelperPatienceNs + 2 * (NowNs() - begin);
  }
}

bool Lockstep::Run(std::int64_t phase) {
  const std::int64_t begin = NowNs();
  for (int part = 0; part < parts_; ++part) TryWork(phase, part);
  const std::int64_t patience = kCallerPatienceNs + 2 * (NowNs() - begin);
  for (int part = 1; part < parts_; ++part) {
    std::atomic<std::int64_t>& state = part_[static_cast<std::size_t>(part)].state;
    if (Await(part_[static_cast<std::size_t>(part)], 2 * phase + 2, patience)) continue;
    std::int64_t begun = 2 * phase + 1;
    if (state.compare_exchange_strong(begun, -1, std::memory_order_acq_rel)) return false;
  }
  return true;
}

}  // namespace savedmodel::engine::rnn
