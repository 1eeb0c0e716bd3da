// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/rnn/kernel.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "engine/kernels/rnn/routines.h"

namespace savedmodel::engine {
SAVEDMODEL_DECLARE_PER_ISA(rnn::Routines, kRoutines)
}  // namespace savedmodel::engine

namespace savedmodel::engine::rnn {
namespace {

// Below this many multiplications another thread costs more than it takes over.
constexpr Index kWorthThreads = Index{1} << 23;
constexpr Index kStepWorthThreads = Index{1} << 21;  // for one step: a fork and a join at each
// The projection is made for so many steps at once as fill this many floats.
constexpr Index kProjectedFloats = Index{1} << 19;

// Aligned to cache lines; zeros, unless `zeros` is false.
class Floats {
 public:
  explicit Floats(Index count = 0, bool zeros = true) {
    if (count == 0) return;
    const auto bytes = static_cast<std::size_t>(count) * sizeof(float);
    data_.reset(static_cast<float*>(::operator new(bytes, std::align_val_t(kAlign))));
    if (zeros) std::memset(data_.get(), 0, bytes);
  }
  float* get() const { return data_.get(); }

 private:
  static constexpr std::size_t kAlign = 64;
  struct Delete {
    void operator()(float* p) const { ::operator delete(p, std::align_val_t(kAlign)); }
  };
  std::unique_ptr<float, Delete> data_;
};

// The gates [first, first + gates) of a matrix of `depth` rows of `all_gates` * `units`.
Floats PackGates(const float* from, Index depth, Index units, Index block, Index all_gates, Index first,
                 Index gates) {
  const Index blocks = (units + block - 1) / block;
  Floats packed(blocks * depth * gates * block);
  if (from == nullptr) return packed;
  float* to = packed.get();
  for (Index j = 0; j < units; j += block) {
    const auto bytes = static_cast<std::size_t>(std::min(block, units - j)) * sizeof(float);
    for (Index k = 0; k < depth; ++k) {
      for (Index g = 0; g < gates; ++g, to += block) {
        std::memcpy(to, from + (k * all_gates + first + g) * units + j, bytes);
      }
    }
  }
  return packed;
}

void CopyRows(const float* from, Index from_row, float* to, Index to_row, Index rows, Index units) {
  for (Index i = 0; i < rows; ++i) {
    std::memcpy(to + i * to_row, from + i * from_row, static_cast<std::size_t>(units) * sizeof(float));
  }
}

}  // namespace

struct Network::Packed {
  Packed(Cell c, const Weights& w, Isa isa)
      : cell(c),
        routines(SAVEDMODEL_OF_ISA(isa, kRoutines)),
        inputs(w.inputs),
        units(w.units),
        block(routines.vector * kVectorsPerBlock) {
    const Index gates = Gates(cell);
    const bool before = cell == Cell::kGruResetBefore;
    kernel = PackGates(w.kernel, inputs, units, block, gates, 0, gates);
    bias = PackGates(w.bias, 1, units, block, gates, 0, gates);
    recurrent = PackGates(w.recurrent, units, units, block, gates, 0, before ? 2 : gates);
    if (before) candidate = PackGates(w.recurrent, units, units, block, gates, 2, 1);
    if (cell == Cell::kGruResetAfter)
      recurrent_bias = PackGates(w.recurrent_bias, 1, units, block, gates, 0, gates);
  }
  Index Blocks() const { return (units + block - 1) / block; }
  // Multiplications for one row of one step.
  Index ProjectCost() const { return inputs * units * Gates(cell); }
  Index StepCost() const { return units * units * Gates(cell); }

  // The rows [first, first + rows) of the batch, from the first step to the last.
  void RunRows(const Sequence& s, Index first, Index rows, const Threads& threads) const;
  void RunStep(Step& step, const Threads& threads) const;

  Cell cell;
  const Routines& routines;
  Index inputs, units, block;
  Floats kernel, bias, recurrent, candidate, recurrent_bias;
};

void Network::Packed::RunStep(Step& step, const Threads& threads) const {
  const auto run = [&](void (*routine)(const Step&)) {
    if (threads.count < 2 || step.rows * StepCost() < kStepWorthThreads) return routine(step);
    threads.run(Blocks(), [&](Index begin, Index end) {
      Step part = step;
      part.begin = begin;
      part.end = end;
      routine(part);
    });
  };
  switch (cell) {
    case Cell::kLstm:
      return run(routines.lstm);
    case Cell::kGruResetAfter:
      return run(routines.gru_reset_after);
    case Cell::kGruResetBefore:
      run(routines.gru_gates);
      return run(routines.gru_candidate);
  }
}

void Network::Packed::RunRows(const Sequence& s, Index first, Index rows, const Threads& threads) const {
  const Index padded = Blocks() * block;
  const Index projected_row = padded * Gates(cell);
  const Index chunk = std::max<Index>(1, std::min(s.steps, kProjectedFloats / (rows * projected_row)));

  const Floats projected(chunk * rows * projected_row, false);
  const Floats h(rows * padded), next(rows * padded);
  const Floats c(cell == Cell::kLstm ? rows * padded : 0);
  const Floats between(cell == Cell::kGruResetBefore ? 2 * rows * padded : 0);
  if (s.h0 != nullptr) CopyRows(s.h0 + first * s.h0_row, s.h0_row, h.get(), padded, rows, units);
  if (s.c0 != nullptr) CopyRows(s.c0 + first * s.c0_row, s.c0_row, c.get(), padded, rows, units);

  Step step = {};
  step.recurrent = recurrent.get();
  step.candidate = candidate.get();
  step.bias = recurrent_bias.get();
  step.h = h.get();
  step.next = next.get();
  step.c = c.get();
  step.z = between.get();
  step.reset_h = between.get() + (between.get() == nullptr ? 0 : rows * padded);
  step.rows = rows;
  step.units = units;
  step.end = Blocks();

  Projection projection = {};
  projection.x_step = s.x_step;
  projection.x_row = s.x_row;
  projection.batch = rows;
  projection.inputs = inputs;
  projection.kernel = kernel.get();
  projection.bias = bias.get();
  projection.projected = projected.get();
  projection.units = units;
  projection.end = Blocks();

  for (Index t = 0; t < s.steps; ++t) {
    if (t % chunk == 0) {
      projection.x = s.x + t * s.x_step + first * s.x_row;
      projection.rows = std::min(chunk, s.steps - t) * rows;
      if (threads.count > 1 && projection.rows * ProjectCost() >= kWorthThreads) {
        threads.run(Blocks(), [&](Index begin, Index end) {
          Projection part = projection;
          part.begin = begin;
          part.end = end;
          routines.project(part, Gates(cell));
        });
      } else {
        routines.project(projection, Gates(cell));
      }
    }
    step.projected = projected.get() + t % chunk * rows * projected_row;
    step.backwards = t % 2 == 1;  // the weights read last are still in the cache
    RunStep(step, threads);
    if (s.y != nullptr)
      CopyRows(step.next, padded, s.y + t * s.y_step + first * s.y_row, s.y_row, rows, units);
    float* const old = const_cast<float*>(step.h);
    step.h = step.next;
    step.next = old;
  }
  if (s.h != nullptr) CopyRows(step.h, padded, s.h + first * units, units, rows, units);
  if (s.c != nullptr) CopyRows(step.c, padded, s.c + first * units, units, rows, units);
}

Network::Network(Cell cell, const Weights& weights, Isa isa)
    : packed_(std::make_unique<const Packed>(cell, weights, isa)) {}

Network::~Network() = default;

std::int64_t Network::inputs() const { return packed_->inputs; }
std::int64_t Network::units() const { return packed_->units; }

void Network::Run(const Sequence& sequence, const Threads& threads) const {
  const Packed& packed = *packed_;
  const Index batch = sequence.batch;
  if (batch == 0 || packed.units == 0) return;
  const Index cost = sequence.steps * batch * (packed.ProjectCost() + packed.StepCost());
  const Index parts = std::min<Index>(threads.count, batch);
  if (parts < 2 || cost < kWorthThreads) return packed.RunRows(sequence, 0, batch, threads);
  // Rows of a batch never wait for each other: each thread takes its own through all steps.
  threads.run(parts, [&](Index begin, Index end) {
    const Index first = begin * batch / parts;
    packed.RunRows(sequence, first, end * batch / parts - first, {});
  });
}

}  // namespace savedmodel::engine::rnn
