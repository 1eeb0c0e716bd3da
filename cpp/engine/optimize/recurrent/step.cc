// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/recurrent/step.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "engine/optimize/recurrent/columns.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

bool IsSum(const Value& value) { return value.Is("AddV2") || value.Is("Add"); }

}  // namespace

bool StepMatcher::EitherWay(const Value& value, const char* op,
                            const std::function<bool(Value, Value)>& match) const {
  const bool sum = std::string("AddV2") == op;
  if (sum ? !IsSum(value) : !value.Is(op)) return false;
  if (Attr(value, "T").type() != tf::DT_FLOAT) return false;
  const Value a = In(value, 0), b = In(value, 1);
  return match(a, b) || match(b, a);
}

std::optional<Value> StepMatcher::Unary(const Value& value, const char* op) const {
  if (!value.Is(op) || Attr(value, "T").type() != tf::DT_FLOAT) return {};
  return In(value, 0);
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

std::optional<StepMatcher::Columns> StepMatcher::ReadColumns(const Value& value) const {
  if (!value.Is("StridedSlice")) return {};
  for (const char* mask : {"ellipsis_mask", "new_axis_mask", "shrink_axis_mask"}) {
    if (Attr(value, mask).i() != 0) return {};
  }
  const auto begin = Integers(In(value, 1)), end = Integers(In(value, 2)), strides = Integers(In(value, 3));
  if (!begin || !end || !strides || begin->size() != 2 || end->size() != 2 || strides->size() != 2) return {};
  if ((*strides)[0] != 1 || (*strides)[1] != 1) return {};
  const std::int64_t from = Attr(value, "begin_mask").i(), to = Attr(value, "end_mask").i();
  const bool all_rows = ((from & 1) != 0 || (*begin)[0] == 0) && (to & 1) != 0;
  if (!all_rows) return {};
  Columns columns;
  columns.matrix = In(value, 0);
  columns.begin = (from & 2) != 0 ? 0 : (*begin)[1];
  columns.end = (to & 2) != 0 ? kToTheEnd : (*end)[1];
  if (columns.begin < 0 || ((to & 2) == 0 && columns.end < 0)) return {};
  return columns;
}

std::optional<StepMatcher::Columns> StepMatcher::ReadGate(const Value& value) const {
  if (value.Is("SplitV")) {  // Keras 2, for the state's product
    const auto sizes = Integers(In(value, 1));
    const auto axis = Integer(In(value, 2));
    if (!sizes || value.index >= static_cast<int>(sizes->size()) || !axis || (*axis != 1 && *axis != -1))
      return {};
    Columns columns;
    columns.matrix = In(value, 0);
    const auto own = sizes->begin() + value.index;
    if (std::any_of(sizes->begin(), own, [](std::int64_t size) { return size < 0; })) return {};
    columns.begin = std::accumulate(sizes->begin(), own, std::int64_t{0});
    columns.end = *own < 0 ? kToTheEnd : columns.begin + *own;
    if (*own < 0 && own + 1 != sizes->end()) return {};
    return columns;
  }
  if (!value.Is("Split")) return ReadColumns(value);
  const auto axis = Integer(In(value, 0));
  if (!axis || (*axis != 1 && *axis != -1)) return {};
  Columns columns;
  columns.matrix = In(value, 1);
  columns.part = value.index;
  columns.parts = static_cast<int>(Attr(value, "num_split").i());
  return columns;
}

bool StepMatcher::ReadLinear(const Value& sum, const Value& state, Linear* linear) const {
  if (IsSum(sum)) return ReadLinear(In(sum, 0), state, linear) && ReadLinear(In(sum, 1), state, linear);
  if (sum.Is("BiasAdd")) {
    if (!IsChannelsLast(*sum.node)) return false;
    const auto bias = ReadBias(In(sum, 1));
    if (bias) linear->bias.push_back(*bias);
    return bias && ReadLinear(In(sum, 0), state, linear);
  }
  if (sum.Is("MatMul")) {
    if (Attr(sum, "T").type() != tf::DT_FLOAT || Attr(sum, "transpose_a").b() || Attr(sum, "transpose_b").b())
      return false;
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
  const Value state{nullptr, h}, cell{nullptr, c};
  Value i, f, g, o;
  const auto gate_of = [this](const Value& value, const char* activation, Value* gate) {
    const auto in = Unary(value, activation);
    if (in) *gate = *in;
    return in.has_value();
  };
  const auto kept = [&](const Value& product) {
    return EitherWay(product, "Mul",
                     [&](Value a, Value b) { return b == cell && gate_of(a, "Sigmoid", &f); });
  };
  const auto added = [&](const Value& product) {
    return EitherWay(product, "Mul",
                     [&](Value a, Value b) { return gate_of(a, "Sigmoid", &i) && gate_of(b, "Tanh", &g); });
  };
  const bool step_matches = EitherWay(next_h, "Mul",
                                      [&](Value a, Value b) {
                                        const auto squashed = Unary(b, "Tanh");
                                        return squashed == next_c && gate_of(a, "Sigmoid", &o);
                                      }) &&
                            EitherWay(next_c, "AddV2", [&](Value a, Value b) { return kept(a) && added(b); });
  if (!step_matches) return {};

  if (auto apart = LstmApart({i, f, g, o}, state)) return apart;
  RecurrentStep step;
  step.cell = rnn::Cell::kLstm;
  const std::optional<Columns> gates[] = {ReadGate(i), ReadGate(f), ReadGate(g), ReadGate(o)};
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
bool StepMatcher::GruGates(const Value& sum, int gate, const Value& state, Columns* x, Columns* h) const {
  return EitherWay(sum, "AddV2", [&](Value a, Value b) {
    const auto left = ReadGate(a), right = ReadGate(b);
    Linear from_x, from_h;
    if (!left || !right || !ReadLinear(left->matrix, state, &from_x) ||
        !ReadLinear(right->matrix, state, &from_h)) {
      return false;
    }
    const bool apart =
        from_x.kernel && !from_x.recurrent.known() && from_h.recurrent.known() && !from_h.kernel;
    // All gates must use the same two matrices.
    if (!apart || (gate > 0 && (left->matrix != x->matrix || right->matrix != h->matrix))) return false;
    *x = *left;
    *h = *right;
    return true;
  });
}

std::optional<RecurrentStep> StepMatcher::Gru(int h, const Value& next_h) const {
  const Value state{nullptr, h};
  Value update, candidate;
  const auto kept = [&](const Value& product) {
    return EitherWay(product, "Mul", [&](Value a, Value b) {
      update = a;
      return b == state && a.Is("Sigmoid");
    });
  };
  const auto added = [&](const Value& product) {
    return EitherWay(product, "Mul", [&](Value a, Value b) {
      candidate = b;
      return a.Is("Sub") && IsConstant(In(a, 0), 1.0F) && In(a, 1) == update && b.Is("Tanh");
    });
  };
  if (!EitherWay(next_h, "AddV2", [&](Value a, Value b) { return kept(a) && added(b); })) return {};

  const auto update_sum = Unary(update, "Sigmoid"), candidate_sum = Unary(candidate, "Tanh");
  if (!update_sum || !candidate_sum) return {};
  if (auto apart = GruApart(*update_sum, *candidate_sum, state)) return apart;
  // For each gate, the columns of the input's product and of the state's.
  Columns x[3], hs[3];
  if (!GruGates(*update_sum, 0, state, &x[0], &hs[0])) return {};
  x[1] = x[0];
  hs[1] = hs[0];

  const auto is_reset = [&](const Value& value) {
    const auto sum = Unary(value, "Sigmoid");
    return sum && GruGates(*sum, 1, state, &x[1], &hs[1]);
  };
  RecurrentStep step;
  Linear from_candidate;  // reset before: (r * h) * its own columns
  const bool matches = EitherWay(*candidate_sum, "AddV2", [&](Value a, Value b) {
    const auto left = ReadGate(a);
    if (!left || left->matrix != x[0].matrix) return false;
    x[2] = *left;
    if (b.Is("Mul")) {
      step.cell = rnn::Cell::kGruResetAfter;
      return EitherWay(b, "Mul", [&](Value r, Value product) {
        const auto gate = ReadGate(product);
        if (!gate || gate->matrix != hs[0].matrix || !is_reset(r)) return false;
        hs[2] = *gate;
        return true;
      });
    }
    step.cell = rnn::Cell::kGruResetBefore;
    if (!b.Is("MatMul")) return false;
    from_candidate = {};
    const Value reset_h = In(b, 0);
    const bool product =
        EitherWay(reset_h, "Mul", [&](Value r, Value s) { return s == state && is_reset(r); });
    return product && ReadLinear(b, reset_h, &from_candidate) && from_candidate.recurrent.known();
  });
  if (!matches) return {};

  Linear from_x, from_h;
  if (!ReadLinear(x[0].matrix, state, &from_x) || !ReadLinear(hs[0].matrix, state, &from_h)) return {};
  const bool after = step.cell == rnn::Cell::kGruResetAfter;
  const auto gates = after ? std::nullopt : ReadColumns(from_h.recurrent);
  const auto rest = after ? std::nullopt : ReadColumns(from_candidate.recurrent);
  if (!after && (!gates || !rest)) return {};
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
    const auto same = ReadWeight(rest->matrix);
    if (!same || !(*same == step.recurrent) || gates->begin != 0 || gates->end != 2 * units ||
        !rest->Are(2, 3, units)) {
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
