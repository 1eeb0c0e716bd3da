// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/recurrent/step.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/optimize/match/pattern.h"
#include "engine/optimize/recurrent/columns.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

bool IsSum(const Value& value) { return value.Is("AddV2") || value.Is("Add"); }

}  // namespace

bool IsFloatProduct(const Value& value) {
  return value.Is("MatMul") && Attr(value, "T").type() == tf::DT_FLOAT && !Attr(value, "transpose_a").b() &&
         !Attr(value, "transpose_b").b();
}

std::optional<Weight> StepMatcher::ReadWeight(const Value& value) const {
  Weight weight;
  if (value.Is("Const")) {
    weight.constant = value.node;
    return weight;
  }
  weight.variable = value.Is("ReadVariableOp");
  const Value argument = weight.variable ? In(value, 0) : value;
  if (!argument.IsArgument() || !stays_[static_cast<std::size_t>(argument.index)]) return {};
  weight.argument = argument.index;
  return weight;
}

std::optional<StepMatcher::Bias> StepMatcher::ReadBias(const Value& value) const {
  Bias bias;
  Value from = value;
  if (value.Is("Squeeze")) {  // Keras 3 splits a matrix this way
    const Value split = In(value, 0);
    const auto& dims = Attr(value, "squeeze_dims").list();
    if (!split.Is("Split") || Attr(split, "num_split").i() != 2 || Integer(In(split, 0)) != 0) return {};
    if (dims.i_size() != 1 || dims.i(0) != 0) return {};
    bias.row = split.index;
    from = In(split, 1);
  } else if (value.Is("Unpack")) {  // Keras 2 splits it this way
    if (Attr(value, "num").i() != 2 || Attr(value, "axis").i() != 0) return {};
    bias.row = value.index;
    from = In(value, 0);
  }
  const auto weight = ReadWeight(from);
  if (!weight) return {};
  bias.weight = *weight;
  // A plain sum would also accept a matrix, and add its rows to the rows of the batch.
  const auto shape = shape_of_(*weight);
  if (!shape || shape->size() != (bias.row < 0 ? 1U : 2U)) return {};
  if (bias.row >= 0 && (*shape)[0] != 2) return {};
  return bias;
}

std::optional<StepMatcher::Columns> StepMatcher::ReadSlice(const Value& value, int rank) const {
  if (!AreZero(value, {"ellipsis_mask", "new_axis_mask", "shrink_axis_mask"})) return {};
  const auto size = static_cast<std::size_t>(rank);
  const auto begin = Integers(In(value, 1)), end = Integers(In(value, 2)), strides = Integers(In(value, 3));
  if (!begin || !end || begin->size() != size || end->size() != size) return {};
  if (strides != std::vector<std::int64_t>(size, 1)) return {};
  const std::int64_t from = Attr(value, "begin_mask").i(), to = Attr(value, "end_mask").i();
  const bool all_rows = ((from & 1) != 0 || begin->front() == 0) && (to & 1) != 0;
  if (rank > 1 && !all_rows) return {};
  const bool from_start = (from & rank) != 0, to_end = (to & rank) != 0;  // bit 0 of one, bit 1 of two
  const Columns columns{In(value, 0), 0, 0, from_start ? 0 : begin->back(), to_end ? kToTheEnd : end->back()};
  if (columns.begin < 0 || (!to_end && columns.end < 0)) return {};
  return columns;
}

std::optional<StepMatcher::Columns> StepMatcher::ReadPart(const Value& value, int rank) const {
  const auto is_last = [rank](const std::optional<std::int64_t>& axis) {
    return axis == rank - 1 || (rank > 1 && axis == -1);
  };
  if (value.Is("StridedSlice")) return ReadSlice(value, rank);
  if (value.Is("Split")) {
    if (!is_last(Integer(In(value, 0)))) return {};
    return Columns{In(value, 1), value.index, static_cast<int>(Attr(value, "num_split").i()), 0, 0};
  }
  if (!value.Is("SplitV") || rank == 1) return {};  // Keras 2, for the state's product
  const auto sizes = Integers(In(value, 1));
  if (!sizes || value.index >= static_cast<int>(sizes->size()) || !is_last(Integer(In(value, 2)))) return {};
  const auto own = sizes->begin() + value.index;
  if (std::any_of(sizes->begin(), own, [](std::int64_t size) { return size < 0; })) return {};
  if (*own < 0 && own + 1 != sizes->end()) return {};
  const std::int64_t begin = std::accumulate(sizes->begin(), own, std::int64_t{0});
  return Columns{In(value, 0), 0, 0, begin, *own < 0 ? kToTheEnd : begin + *own};
}

std::optional<StepMatcher::Columns> StepMatcher::ReadGate(const Value& value) const {
  return ReadPart(value, 2);
}

bool StepMatcher::ReadLinear(const Value& sum, const Value& state, Linear* linear) const {
  if (IsSum(sum)) return ReadLinear(In(sum, 0), state, linear) && ReadLinear(In(sum, 1), state, linear);
  if (sum.Is("BiasAdd")) {
    if (!IsChannelsLast(*sum.node)) return false;
    const auto bias = ReadBias(In(sum, 1));
    if (bias) linear->bias.push_back(*bias);
    return bias && ReadLinear(In(sum, 0), state, linear);
  }
  if (IsFloatProduct(sum)) {
    const Value left = In(sum, 0), right = In(sum, 1);
    if (left == state && !linear->recurrent.known()) {
      linear->recurrent = right;
      return right.known();
    }
    if (!left.Is("TensorListGetItem") || linear->x.known()) return false;
    linear->x = left;
    linear->kernel = ReadWeight(right);
    return linear->kernel.has_value();
  }
  const auto bias = ReadBias(sum);
  if (bias) linear->bias.push_back(*bias);
  return bias.has_value();
}

// Checks the shapes of the two matrices; the step's `recurrent` must be set.
bool StepMatcher::Finish(const Linear& linear, RecurrentStep* step) const {
  if (!linear.kernel) return false;
  step->x = linear.x;
  step->kernel = *linear.kernel;
  const auto recurrent = shape_of_(step->recurrent), kernel = shape_of_(step->kernel);
  if (!recurrent || recurrent->size() != 2 || !kernel || kernel->size() != 2) return false;
  step->units = (*recurrent)[0];
  const std::int64_t width = rnn::Gates(step->cell) * step->units;
  return step->units > 0 && (*recurrent)[1] == width && (*kernel)[1] == width;
}

// Adds the bias `row` of a matrix, or a vector (`row` -1), to the step.
bool StepMatcher::AddBias(const Bias& bias, int row, RecurrentStep* step) const {
  const auto shape = shape_of_(bias.weight);
  if (bias.row != row || !shape || shape->back() != rnn::Gates(step->cell) * step->units) return false;
  step->bias.push_back(bias.weight);
  return true;
}

// Adds the biases of the input's and of the state's product.
bool StepMatcher::AddBiases(const Bias& of_x, const Bias& of_h, RecurrentStep* step) const {
  if (of_x.row < 0) return AddBias(of_x, -1, step) && AddBias(of_h, -1, step);
  return of_x.weight == of_h.weight && of_h.row == 1 && AddBias(of_x, 0, step);  // the two rows of one matrix
}

std::optional<RecurrentStep> StepMatcher::Lstm(int h, int c, const Value& next_h, const Value& next_c) const {
  const Value state{nullptr, h};
  const auto i = Any(), f = Any(), g = Any(), o = Any();
  const auto cell = Sum(Mul(Sigmoid(f), Is({nullptr, c})), Mul(Sigmoid(i), Tanh(g)));
  Match match(body_);
  if (!match.Find(Mul(Sigmoid(o), Tanh(cell)), next_h) || match[cell] != next_c) return {};

  if (auto apart = LstmApart({match[i], match[f], match[g], match[o]}, state)) return apart;
  RecurrentStep step;
  step.cell = rnn::Cell::kLstm;
  const std::optional<Columns> gates[] = {ReadGate(match[i]), ReadGate(match[f]), ReadGate(match[g]),
                                          ReadGate(match[o])};
  Linear linear;
  if (!gates[0] || !ReadLinear(gates[0]->matrix, state, &linear)) return {};
  const auto recurrent = ReadWeight(linear.recurrent);
  if (!recurrent) return {};
  step.recurrent = *recurrent;
  if (!Finish(linear, &step)) return {};
  for (int k = 0; k < 4; ++k) {
    if (!gates[k] || gates[k]->matrix != gates[0]->matrix || !gates[k]->Are(k, 4, step.units)) return {};
  }
  if (linear.bias.size() > 1 || (linear.bias.size() == 1 && !AddBias(linear.bias[0], -1, &step))) return {};
  return step;
}

// A sum of the same gate of the input's and of the state's product.
bool StepMatcher::GruGates(const Value& sum, const Value& state, Columns* x, Columns* h) const {
  if (!IsSum(sum)) return false;
  for (const int i : {0, 1}) {
    const auto left = ReadGate(In(sum, i)), right = ReadGate(In(sum, 1 - i));
    Linear from_x, from_h;
    if (!left || !right || !ReadLinear(left->matrix, state, &from_x) ||
        !ReadLinear(right->matrix, state, &from_h) || !from_x.kernel || from_x.recurrent.known() ||
        !from_h.recurrent.known() || from_h.kernel)
      continue;
    *x = *left;
    *h = *right;
    return true;
  }
  return false;
}

std::optional<RecurrentStep> StepMatcher::Gru(int h, const Value& next_h) const {
  const Value state{nullptr, h};
  const auto old = Is(state), z = Any(), r = Any(), from_input = Any(), product = Any(), weights = Any();
  const auto update = Sigmoid(z), reset = Sigmoid(r), after_product = Mul(reset, product);
  const auto before_product = Op({"MatMul"}, {Mul(reset, old), weights}).where([](const tf::NodeDef& node) {
    return IsFloatProduct({&node, 0});
  });
  const auto candidate = Tanh(Sum(from_input, Either({after_product, before_product})));
  const auto gru = Sum(Mul(update, old), Mul(Sub(Scalar(1), update), candidate));
  Match match(body_);
  if (!match.Find(gru, next_h)) return {};
  const bool after = match[after_product].known();
  const GruParts parts{match[z], match[r], match[from_input], match[after ? product : weights], after};
  if (auto apart = GruApart(parts, state)) return apart;

  RecurrentStep step;
  step.cell = after ? rnn::Cell::kGruResetAfter : rnn::Cell::kGruResetBefore;
  // For each gate, the columns of the input's product and of the state's.
  Columns x[3], hs[3];
  if (!GruGates(parts.update, state, &x[0], &hs[0]) || !GruGates(parts.reset, state, &x[1], &hs[1]))
    return {};
  const auto x_columns = ReadGate(parts.x), h_columns = ReadGate(parts.h);
  if (!x_columns || !h_columns) return {};
  x[2] = *x_columns;
  hs[2] = *h_columns;
  for (const int k : {1, 2}) {  // all gates must use the same two matrices
    if (x[k].matrix != x[0].matrix || ((after || k < 2) && hs[k].matrix != hs[0].matrix)) return {};
  }

  Linear from_x, from_h;
  if (!ReadLinear(x[0].matrix, state, &from_x) || !ReadLinear(hs[0].matrix, state, &from_h)) return {};
  const auto gates = after ? std::nullopt : ReadGate(from_h.recurrent);
  if (!after && !gates) return {};
  const auto recurrent = ReadWeight(after ? from_h.recurrent : gates->matrix);
  if (!recurrent) return {};
  step.recurrent = *recurrent;
  if (!Finish(from_x, &step)) return {};
  const std::int64_t units = step.units;
  for (int k = 0; k < 3; ++k) {
    if (!x[k].Are(k, 3, units)) return {};
    if ((after || k < 2) && !hs[k].Are(k, after ? 3 : 2, units)) return {};
  }
  if (!after) {
    const auto same = ReadWeight(hs[2].matrix);
    if (!same || !(*same == step.recurrent) || gates->begin != 0 || gates->end != 2 * units ||
        !hs[2].Are(2, 3, units)) {
      return {};
    }
    if (!from_h.bias.empty() || from_x.bias.size() > 1) return {};
    if (from_x.bias.size() == 1 && !AddBias(from_x.bias[0], -1, &step)) return {};
    return step;
  }
  if (from_x.bias.size() != from_h.bias.size() || from_x.bias.size() > 1) return {};
  if (from_x.bias.empty()) return step;
  if (!AddBiases(from_x.bias[0], from_h.bias[0], &step)) return {};
  return step;
}

}  // namespace savedmodel::engine
