// SPDX-License-Identifier: Apache-2.0
// Recognises one step of an LSTM or a GRU in the body of a loop.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/graph/dataflow.h"
#include "engine/kernels/rnn/kernel.h"

namespace savedmodel::engine {

// A factor in a loop's body: an unchanging argument, used directly or read as a variable; or a Const.
struct Weight {
  int argument = -1;
  bool variable = false;
  const tensorflow::NodeDef* constant = nullptr;
  bool operator==(const Weight& other) const {
    return argument == other.argument && variable == other.variable && constant == other.constant;
  }
};

struct RecurrentStep {
  rnn::Cell cell = rnn::Cell::kLstm;
  std::int64_t units = 0;
  Value x;  // the TensorListGetItem
  Weight kernel, recurrent;
  std::vector<Weight> bias;  // in the order of kernels/rnn/rnn_op.h
};

class StepMatcher {
 public:
  using ShapeOf = std::function<std::optional<std::vector<std::int64_t>>(const Weight&)>;
  // `stays[i]`: argument `i` is the same in all iterations.
  StepMatcher(const Dataflow& body, std::vector<bool> stays, ShapeOf shape_of)
      : body_(body), stays_(std::move(stays)), shape_of_(std::move(shape_of)) {}

  // `next_*`: the body's results for the arguments `h` and `c`.
  std::optional<RecurrentStep> Lstm(int h, int c, const Value& next_h, const Value& next_c) const;
  std::optional<RecurrentStep> Gru(int h, const Value& next_h) const;

 private:
  struct Columns;
  struct Bias;
  struct Linear;
  struct Apart;

  struct GruParts;

  Value In(const Value& value, int i) const { return body_.Input(value, i); }
  std::optional<Weight> ReadWeight(const Value& value) const;
  std::optional<Bias> ReadBias(const Value& value) const;
  // A part of the last of `rank` dimensions.
  std::optional<Columns> ReadSlice(const Value& value, int rank) const;
  std::optional<Columns> ReadPart(const Value& value, int rank) const;
  std::optional<Columns> ReadGate(const Value& value) const;
  bool ReadLinear(const Value& sum, const Value& state, Linear* linear) const;
  bool GruGates(const Value& sum, const Value& state, Columns* x, Columns* h) const;
  bool Finish(const Linear& linear, RecurrentStep* step) const;
  bool AddBias(const Bias& bias, int row, RecurrentStep* step) const;
  bool AddBiases(const Bias& of_x, const Bias& of_h, RecurrentStep* step) const;

  // The same for layers with a product per gate; `sums` are the inputs of the gates' activations.
  std::optional<RecurrentStep> LstmApart(const std::vector<Value>& sums, const Value& state) const;
  std::optional<RecurrentStep> GruApart(const GruParts& parts, const Value& state) const;
  bool ReadApart(const Value& value, const Value& state, Apart* apart) const;
  template <typename Found>
  std::optional<Found> Whole(const std::vector<Columns>& parts, std::int64_t units,
                             std::optional<Found> (StepMatcher::*read)(const Value&) const) const;
  bool FinishApart(const std::vector<const Apart*>& from_x, const std::vector<const Apart*>& from_h,
                   RecurrentStep* step) const;

  const Dataflow& body_;
  std::vector<bool> stays_;
  ShapeOf shape_of_;
};

}  // namespace savedmodel::engine
