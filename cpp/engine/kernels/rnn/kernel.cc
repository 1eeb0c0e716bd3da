// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/rnn/kernel.h"

#include <algorithm>

#include "engine/kernels/rnn/team.h"
#include "engine/threads/wait.h"

namespace savedmodel::engine::rnn {
namespace {

// Below this many multiplications another thread costs more than it saves.
constexpr Index kRowsWorthThreads = Index{1} << 23;
constexpr Index kWorthHelp = Index{1} << 21;      // of the whole sequence
constexpr Index kStepWorthHelp = Index{1} << 15;  // of one step; threads wait for each other after each
constexpr Index kWorthALook = Index{1} << 24;     // multiplications between stop checks
constexpr Index kStepsWorthALook = 4096;

Sequence Rows(const Sequence& sequence, Index first, Index rows, Index units) {
  Sequence s = sequence;
  s.batch = rows;
  s.x += first * s.x_row;
  if (s.h0 != nullptr) s.h0 += first * s.h0_row;
  if (s.c0 != nullptr) s.c0 += first * s.c0_row;
  if (s.y != nullptr) s.y += first * s.y_row;
  if (s.mask != nullptr) s.mask += first * s.mask_row;
  if (s.last != nullptr) s.last += first * units;
  if (s.h != nullptr) s.h += first * units;
  if (s.c != nullptr) s.c += first * units;
  return s;
}

}  // namespace

Network::Network(Cell cell, const Weights& weights, Isa isa)
    : packed_(std::make_shared<const Packed>(cell, weights, isa)), help_(std::make_unique<HelpChoice>()) {}

Network::~Network() = default;

std::int64_t Network::inputs() const { return packed_->inputs; }
std::int64_t Network::units() const { return packed_->units; }

std::size_t Network::bytes() const {
  const Packed& packed = *packed_;
  return packed.kernel.bytes() + packed.bias.bytes() + packed.recurrent.bytes() + packed.candidate.bytes() +
         packed.recurrent_bias.bytes();
}

void Network::Run(const Sequence& given, const Threads& threads) const {
  const Packed& packed = *packed_;
  const Index batch = given.batch;
  if (batch == 0 || packed.units == 0) return;
  const Index cost = given.steps * batch * (packed.ProjectCost() + packed.StepCost());
  Sequence sequence = given;
  if (cost < kWorthALook && given.steps < kStepsWorthALook) sequence.stop = nullptr;
  const Index parts = std::min<Index>(threads.count, batch);
  if (parts > 1 && cost >= kRowsWorthThreads) {
    // Rows of a batch are independent: each thread takes its own through all steps.
    return threads.run(parts, [&](Index begin, Index end) {
      const Index first = begin * batch / parts;
      RunAlone(packed_, Rows(sequence, first, end * batch / parts - first, packed.units));
    });
  }
  const Index blocks = packed.Blocks();
  const Index each = (blocks + threads.count - 1) / threads.count;
  const int team = static_cast<int>((blocks + each - 1) / each);  // one more thread would not make it faster
  if (team < 2 || cost < kWorthHelp || batch * packed.StepCost() < kStepWorthHelp) {
    return RunAlone(packed_, sequence);
  }
  const bool together = help_->Together();
  const std::int64_t begin = NowNs();
  together ? RunTogether(packed_, sequence, team, threads) : RunAlone(packed_, sequence);
  if (IsStopped(sequence.stop)) return;
  help_->Learn(together, static_cast<double>(NowNs() - begin) / static_cast<double>(cost));
}

}  // namespace savedmodel::engine::rnn
