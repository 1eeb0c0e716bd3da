// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/rnn/team.h"

#include <algorithm>

#include "engine/kernels/rnn/lockstep.h"

namespace savedmodel::engine::rnn {
namespace {

constexpr unsigned kFirstAlone = 2;
constexpr unsigned kAloneEvery = 128;  // the time without help changes with the machine and the sequences
constexpr double kForget = 1.05;       // a slower run without help raises the rate by at most this factor
constexpr int kMaxBackoff = 512;
constexpr int kMisses = 3;  // in a row: helpers that slept come late to the first, and with cold caches

void Walked(Walk& walk, const Packed& packed, const Sequence& sequence) {
  for (Index phase = 0; phase < walk.phases(); ++phase) {
    if (IsStopped(sequence.stop)) return;
    walk.Run(phase, 0, packed.Blocks());
    walk.WriteStep(phase, sequence);
  }
  walk.WriteStates(sequence);
}

struct Team {
  Team(const std::shared_ptr<const Packed>& packed, const Sequence& sequence, int parts)
      : walk(packed, sequence, true),
        lockstep(walk.phases(), parts, [this, parts, blocks = packed->Blocks()](Index phase, int part) {
          walk.Run(phase, part * blocks / parts, (part + 1) * blocks / parts);
        }) {}
  Walk walk;
  Lockstep lockstep;
};

}  // namespace

void RunAlone(const std::shared_ptr<const Packed>& packed, const Sequence& sequence) {
  Walk walk(packed, sequence, false);
  Walked(walk, *packed, sequence);
}

void RunTogether(const std::shared_ptr<const Packed>& packed, const Sequence& sequence, int parts,
                 const Threads& threads) {
  const auto team = std::make_shared<Team>(packed, sequence, parts);
  for (int part = 1; part < parts; ++part) {
    threads.start([team, part] { team->lockstep.Help(part); });
  }
  for (Index phase = 0; phase < team->walk.phases(); ++phase) {
    if (IsStopped(sequence.stop)) return;
    if (!team->lockstep.Run(phase)) {
      const Sequence rest = team->walk.Rest(phase, sequence);
      Walk walk(packed, rest, false, sequence.steps - rest.steps);
      return Walked(walk, *packed, rest);
    }
    team->walk.WriteStep(phase, sequence);
  }
  team->walk.WriteStates(sequence);
}

bool HelpChoice::Together() {
  const unsigned run = runs_.fetch_add(1, std::memory_order_relaxed);
  if (run < kFirstAlone || run % kAloneEvery == 0) return false;
  const int wait = wait_.load(std::memory_order_relaxed);
  if (wait > 0) wait_.store(wait - 1, std::memory_order_relaxed);
  return wait <= 0;
}

void HelpChoice::Learn(bool together, double rate) {
  const double alone = alone_.load(std::memory_order_relaxed);
  if (!together) {
    alone_.store(alone == 0 ? rate : std::min(rate, kForget * alone), std::memory_order_relaxed);
    return;
  }
  const int backoff = backoff_.load(std::memory_order_relaxed);
  if (rate < alone) {
    misses_.store(0, std::memory_order_relaxed);
    return backoff_.store(backoff / 2, std::memory_order_relaxed);
  }
  if (misses_.fetch_add(1, std::memory_order_relaxed) + 1 < kMisses) return;
  misses_.store(0, std::memory_order_relaxed);
  backoff_.store(std::min(2 * backoff + 2, kMaxBackoff), std::memory_order_relaxed);
  wait_.store(backoff + 1, std::memory_order_relaxed);
}

}  // namespace savedmodel::engine::rnn
