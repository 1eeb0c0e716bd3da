// SPDX-License-Identifier: Apache-2.0
// The routines that each instruction set implements. Their files have their own compiler flags, so they
// include no inline functions: the linker might use their copy everywhere.
#pragma once

#include <cstdint>

namespace savedmodel::engine::rnn {

using Index = std::int64_t;

// Units come in blocks of two vectors, the last one padded. A packed matrix stores, for each block and each
// of its rows: gate 0's units of that block, gate 1's, ...
constexpr Index kVectorsPerBlock = 2;

// projected[row] = bias + x[row] * kernel, for the blocks [begin, end).
struct Projection {
  const float* x;  // row `i` is at x + (i / batch) * x_stride + (i % batch) * x_row
  Index x_stride, x_row, batch;
  Index rows, inputs;
  const float* kernel;  // packed
  const float* bias;    // packed
  float* projected;     // packed rows: for each block, its gates
  Index units, begin, end;
};

// One step of a batch, for the blocks [begin, end) (from the last one down if `backwards`).
struct Step {
  const float* projected;  // a packed row for each row of the batch
  const float* recurrent;  // packed; only the gates z and r if the reset comes before
  const float* candidate;  // packed; gate h, if the reset comes before
  const float* bias;       // packed; of the recurrent product, if the reset comes after
  const float* h;          // before the step; its rows, like those below, are padded to whole blocks
  float* next;             // h after the step
  const float* c;
  float* next_c;
  float* z;        // passed between the two halves, if the reset comes before
  float* reset_h;  // the same
  Index rows, units, begin, end;
  bool backwards;
};

struct Routines {
  Index vector;  // floats
  void (*project)(const Projection&, int gates);
  void (*lstm)(const Step&);
  void (*gru_reset_after)(const Step&);
  void (*gru_gates)(const Step&);      // reset before: z and r
  void (*gru_candidate)(const Step&);  // reset before: the rest
};

}  // namespace savedmodel::engine::rnn
