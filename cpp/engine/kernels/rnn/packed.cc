// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/rnn/packed.h"

#include <algorithm>

#include "engine/kernels/isa_kernels.h"

namespace savedmodel::engine::rnn {
namespace {

// Packs the gates [first, first + gates) of a matrix of `depth` rows of `all_gates` * `units`.
Floats PackGates(const float* from, Index depth, Index units, Index block, Index all_gates, Index first,
                 Index gates) {
  const Index blocks = DivideUp(units, block);
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

}  // namespace

Packed::Packed(Cell a_cell, const Weights& w, Isa isa)
    : cell(a_cell),
      routines(KernelsOf(isa).rnn),
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

}  // namespace savedmodel::engine::rnn
