// SPDX-License-Identifier: Apache-2.0
// A network's weights, in the order in which the routines of one instruction set read them.
#pragma once

#include "engine/kernels/floats.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/rnn/kernel.h"
#include "engine/kernels/rnn/routines.h"

namespace savedmodel::engine::rnn {

struct Packed {
  Packed(Cell cell, const Weights& weights, Isa isa);

  Index Blocks() const { return DivideUp(units, block); }
  // Multiplications for one row of one step.
  Index ProjectCost() const { return inputs * units * Gates(cell); }
  Index StepCost() const { return units * units * Gates(cell); }

  Cell cell;
  const Routines& routines;
  Index inputs, units, block;
  Floats kernel, bias, recurrent, candidate, recurrent_bias;
};

}  // namespace savedmodel::engine::rnn
