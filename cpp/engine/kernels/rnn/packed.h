// SPDX-License-Identifier: Apache-2.0
// A network's weights, in the order in which the routines of one instruction set read them.
#pragma once

#include <cstring>
#include <memory>
#include <new>

#include "engine/kernels/rnn/kernel.h"
#include "engine/kernels/rnn/routines.h"

namespace savedmodel::engine::rnn {

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

struct Packed {
  Packed(Cell cell, const Weights& weights, Isa isa);

  Index Blocks() const { return (units + block - 1) / block; }
  // Multiplications for one row of one step.
  Index ProjectCost() const { return inputs * units * Gates(cell); }
  Index StepCost() const { return units * units * Gates(cell); }

  Cell cell;
  const Routines& routines;
  Index inputs, units, block;
  Floats kernel, bias, recurrent, candidate, recurrent_bias;
};

}  // namespace savedmodel::engine::rnn
