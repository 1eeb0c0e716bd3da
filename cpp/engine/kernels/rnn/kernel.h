// SPDX-License-Identifier: Apache-2.0
// LSTM and GRU over a sequence, in float32, as Keras defines them: activation tanh, recurrent activation
// sigmoid. Independent of TensorFlow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/kernels/isa.h"
#include "engine/threads/stop.h"

namespace savedmodel::engine::rnn {

enum class Cell {
  kLstm,            // gates i, f, c, o
  kGruResetAfter,   // gates z, r, h; Keras' default
  kGruResetBefore,  // gates z, r, h; reset_after=False
};
constexpr int Gates(Cell cell) { return cell == Cell::kLstm ? 4 : 3; }

// Keras' layout, row-major; borrowed.
struct Weights {
  std::int64_t inputs = 0;
  std::int64_t units = 0;
  const float* kernel = nullptr;          // [inputs, gates * units]
  const float* recurrent = nullptr;       // [units, gates * units]
  const float* bias = nullptr;            // [gates * units], or null
  const float* recurrent_bias = nullptr;  // the same; kGruResetAfter only
};

// Runs body(begin, end) over parts of [0, n), each number once, and returns when all is done.
using ParallelFor =
    std::function<void(std::int64_t n, const std::function<void(std::int64_t, std::int64_t)>&)>;

// `run` and `start` may be empty if `count` is 1.
struct Threads {
  int count = 1;
  ParallelFor run;
  std::function<void(std::function<void()>)> start;  // runs it in another thread later
};

// Strides are in floats; with a negative step, the pointer is the first element read.
struct Sequence {
  std::int64_t steps = 0;
  std::int64_t batch = 0;
  const float* x = nullptr;  // `inputs` floats in a row
  std::int64_t x_stride = 0;
  std::int64_t x_row = 0;
  const float* h0 = nullptr;  // `units` floats in a row; null: zeros
  std::int64_t h0_row = 0;    // 0: one row for the whole batch
  const float* c0 = nullptr;
  std::int64_t c0_row = 0;
  // Where it is false, a step keeps the states, and its y repeats the previous one (zeros before the first).
  const bool* mask = nullptr;  // null: true everywhere
  std::int64_t mask_stride = 0;
  std::int64_t mask_row = 0;
  bool masked_is_zero = false;  // y of masked steps is zeros
  float* y = nullptr;           // h of every step; null: not needed
  std::int64_t y_stride = 0;
  std::int64_t y_row = 0;
  float* h = nullptr;          // [batch, units] after the last step; null: not needed
  float* c = nullptr;          // LSTM only
  float* last = nullptr;       // [batch, units]: y of the last step; needed with a mask, ignored without
  const Stop* stop = nullptr;  // checked between steps; after a stop the outputs above are incomplete
};

struct Packed;
class HelpChoice;

// Weights copied into the order in which one instruction set reads them. Several threads may run one
// concurrently.
class Network {
 public:
  Network(Cell cell, const Weights& weights, Isa isa = BestIsa());
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  void Run(const Sequence& sequence, const Threads& threads = {}) const;

  std::int64_t inputs() const;
  std::int64_t units() const;
  std::size_t bytes() const;

 private:
  std::shared_ptr<const Packed> packed_;  // shared with threads that start too late
  const std::unique_ptr<HelpChoice> help_;
};

}  // namespace savedmodel::engine::rnn
