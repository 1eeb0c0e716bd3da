// SPDX-License-Identifier: Apache-2.0
// Steps with a separate product for each gate, as Keras writes layers with recurrent dropout.
#include <algorithm>

#include "engine/optimize/recurrent/columns.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

bool IsFloatProduct(const Value& value) {
  return value.Is("MatMul") && Attr(value, "T").type() == tf::DT_FLOAT && !Attr(value, "transpose_a").b() &&
         !Attr(value, "transpose_b").b();
}

}  // namespace

// One gate's x * columns of the kernel + state * columns of the recurrent kernel + parts of biases; any of
// them may be missing.
struct StepMatcher::Apart {
  Value x;
  std::optional<Columns> kernel, recurrent;
  std::vector<Columns> bias;  // parts of vectors
};

std::optional<StepMatcher::Columns> StepMatcher::ReadPart(const Value& value) const {
  Columns part;
  if (value.Is("Split")) {
    if (Integer(In(value, 0)) != 0) return {};
    part.matrix = In(value, 1);
    part.part = value.index;
    part.parts = static_cast<int>(Attr(value, "num_split").i());
    return part;
  }
  if (!value.Is("StridedSlice")) return {};
  for (const char* mask : {"ellipsis_mask", "new_axis_mask", "shrink_axis_mask"}) {
    if (Attr(value, mask).i() != 0) return {};
  }
  const auto begin = Integers(In(value, 1)), end = Integers(In(value, 2)), strides = Integers(In(value, 3));
  if (!begin || !end || !strides || begin->size() != 1 || end->size() != 1 || strides->size() != 1) return {};
  if ((*strides)[0] != 1) return {};
  part.matrix = In(value, 0);
  part.begin = Attr(value, "begin_mask").i() != 0 ? 0 : (*begin)[0];
  part.end = Attr(value, "end_mask").i() != 0 ? kToTheEnd : (*end)[0];
  if (part.begin < 0 || (part.end < 0 && Attr(value, "end_mask").i() == 0)) return {};
  return part;
}

bool StepMatcher::ReadApart(const Value& value, const Value& state, Apart* apart) const {
  if (value.Is("AddV2") || value.Is("Add")) {
    return ReadApart(In(value, 0), state, apart) && ReadApart(In(value, 1), state, apart);
  }
  if (IsFloatProduct(value)) {
    const Value left = In(value, 0);
    const auto columns = ReadGate(In(value, 1));
    if (left == state && !apart->recurrent) {
      apart->recurrent = columns;
      return columns.has_value();
    }
    if (!left.Is("TensorListGetItem") || apart->kernel) return false;
    apart->x = left;
    apart->kernel = columns;
    return columns.has_value();
  }
  const auto part = ReadPart(value);
  if (part) apart->bias.push_back(*part);
  return part.has_value();
}

// The matrix that consists of the gates' `columns`, in order.
std::optional<Weight> StepMatcher::Whole(const std::vector<std::optional<Columns>>& columns,
                                         std::int64_t units) const {
  std::optional<Weight> whole;
  const int gates = static_cast<int>(columns.size());
  for (int k = 0; k < gates; ++k) {
    const auto& own = columns[static_cast<std::size_t>(k)];
    const auto weight = own ? ReadWeight(own->matrix) : std::nullopt;
    if (!weight || !own->Are(k, gates, units) || (k > 0 && !(*weight == *whole))) return {};
    whole = weight;
  }
  return whole;
}

// The same for a bias.
std::optional<StepMatcher::Bias> StepMatcher::WholeBias(const std::vector<Columns>& parts,
                                                        std::int64_t units) const {
  std::optional<Bias> whole;
  const int gates = static_cast<int>(parts.size());
  for (int k = 0; k < gates; ++k) {
    const Columns& own = parts[static_cast<std::size_t>(k)];
    const auto bias = ReadBias(own.matrix);
    if (!bias || !own.Are(k, gates, units)) return {};
    if (k > 0 && (!(bias->weight == whole->weight) || bias->row != whole->row)) return {};
    whole = bias;
  }
  return whole;
}

// Finds the weights of all gates: `from_x` has each gate's product with the input, `from_h` with the state.
bool StepMatcher::FinishApart(const std::vector<const Apart*>& from_x,
                              const std::vector<const Apart*>& from_h, RecurrentStep* step) const {
  std::vector<std::optional<Columns>> kernel, recurrent;
  for (const Apart* gate : from_x) kernel.push_back(gate->kernel);
  for (const Apart* gate : from_h) recurrent.push_back(gate->recurrent);
  const auto first = recurrent[0] ? ReadWeight(recurrent[0]->matrix) : std::nullopt;
  const auto shape = first ? shape_of_(*first) : std::nullopt;
  if (!shape || shape->size() != 2) return false;
  const std::int64_t units = (*shape)[0];
  Linear linear;
  linear.kernel = Whole(kernel, units);
  linear.x = from_x[0]->x;
  const auto whole = Whole(recurrent, units);
  if (!whole || std::any_of(from_x.begin(), from_x.end(), [&](const Apart* g) { return g->x != linear.x; })) {
    return false;
  }
  step->recurrent = *whole;
  return Finish(linear, step);
}

std::optional<RecurrentStep> StepMatcher::LstmApart(const std::vector<Value>& sums,
                                                    const Value& state) const {
  RecurrentStep step;
  step.cell = rnn::Cell::kLstm;
  std::vector<Apart> gates(sums.size());
  std::vector<const Apart*> all;
  std::vector<Columns> bias;
  for (std::size_t k = 0; k < sums.size(); ++k) {
    if (!ReadApart(sums[k], state, &gates[k]) || gates[k].bias.size() > 1) return {};
    bias.insert(bias.end(), gates[k].bias.begin(), gates[k].bias.end());
    all.push_back(&gates[k]);
  }
  if (!FinishApart(all, all, &step)) return {};
  if (bias.empty()) return step;
  const auto whole = bias.size() == sums.size() ? WholeBias(bias, step.units) : std::nullopt;
  if (!whole || !AddBias(*whole, -1, &step)) return {};
  return step;
}

std::optional<RecurrentStep> StepMatcher::GruApart(const Value& update, const Value& candidate,
                                                   const Value& state) const {
  Apart z, r, x, h;  // x and h are the candidate's
  RecurrentStep step;
  const auto is_reset = [&](const Value& value) {
    const auto sum = Unary(value, "Sigmoid");
    r = {};
    return sum && ReadApart(*sum, state, &r);
  };
  const bool matches = EitherWay(candidate, "AddV2", [&](Value a, Value b) {
    x = h = {};
    if (!ReadApart(a, state, &x) || x.recurrent) return false;
    if (b.Is("Mul")) {
      step.cell = rnn::Cell::kGruResetAfter;
      return EitherWay(b, "Mul", [&](Value reset, Value product) {
        h = {};
        return is_reset(reset) && ReadApart(product, state, &h);
      });
    }
    step.cell = rnn::Cell::kGruResetBefore;
    if (!IsFloatProduct(b)) return false;
    const Value reset_state = In(b, 0);
    return EitherWay(reset_state, "Mul",
                     [&](Value reset, Value s) { return s == state && is_reset(reset); }) &&
           ReadApart(b, reset_state, &h);
  });
  if (!matches || !ReadApart(update, state, &z) || h.kernel ||
      !FinishApart({&z, &r, &x}, {&z, &r, &h}, &step))
    return {};

  if (x.bias.empty() && h.bias.empty() && z.bias.empty() && r.bias.empty()) return step;
  const bool after = step.cell == rnn::Cell::kGruResetAfter;
  const std::size_t count = after ? 2 : 1;
  if (x.bias.size() != 1 || h.bias.size() != count - 1 || z.bias.size() != count || r.bias.size() != count)
    return {};
  // Of a gate's two biases, the input's is the one that belongs to the same weight as the candidate's.
  const auto matrix_is = [&](const Columns& part, const Columns& other) {
    const auto a = ReadBias(part.matrix), b = ReadBias(other.matrix);
    return a && b && a->weight == b->weight && a->row == b->row;
  };
  for (Apart* gate : {&z, &r}) {
    if (!matrix_is(gate->bias[0], x.bias[0])) std::reverse(gate->bias.begin(), gate->bias.end());
  }
  const auto of_x = WholeBias({z.bias[0], r.bias[0], x.bias[0]}, step.units);
  if (!of_x) return {};
  if (!after) {
    if (!AddBias(*of_x, -1, &step)) return {};
    return step;
  }
  const auto of_h = WholeBias({z.bias[1], r.bias[1], h.bias[0]}, step.units);
  if (!of_h || !AddBiases(*of_x, *of_h, &step)) return {};
  return step;
}

}  // namespace savedmodel::engine
