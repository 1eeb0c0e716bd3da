// SPDX-License-Identifier: Apache-2.0
// Steps with a separate product for each gate, as Keras writes layers with recurrent dropout.
#include <algorithm>

#include "engine/optimize/recurrent/columns.h"

namespace savedmodel::engine {

// One gate's x * columns of the kernel + state * columns of the recurrent kernel + parts of biases; any of
// them may be missing.
struct StepMatcher::Apart {
  Value x;
  std::optional<Columns> kernel, recurrent;
  std::vector<Columns> bias;  // parts of vectors
};

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
  const auto part = ReadPart(value, 1);
  if (part) apart->bias.push_back(*part);
  return part.has_value();
}

// What consists of the gates' parts, in order, as `read` finds it behind each.
template <typename Found>
std::optional<Found> StepMatcher::Whole(const std::vector<Columns>& parts, std::int64_t units,
                                        std::optional<Found> (StepMatcher::*read)(const Value&) const) const {
  std::optional<Found> whole;
  const int gates = static_cast<int>(parts.size());
  for (int k = 0; k < gates; ++k) {
    const Columns& own = parts[static_cast<std::size_t>(k)];
    const std::optional<Found> found = (this->*read)(own.matrix);
    if (!found || !own.Are(k, gates, units) || (k > 0 && !(*found == *whole))) return {};
    whole = found;
  }
  return whole;
}

// Finds the weights of all gates: `from_x` has each gate's product with the input, `from_h` with the state.
bool StepMatcher::FinishApart(const std::vector<const Apart*>& from_x,
                              const std::vector<const Apart*>& from_h, RecurrentStep* step) const {
  std::vector<Columns> kernel, recurrent;
  for (std::size_t k = 0; k < from_x.size(); ++k) {
    if (!from_x[k]->kernel || !from_h[k]->recurrent || from_x[k]->x != from_x[0]->x) return false;
    kernel.push_back(*from_x[k]->kernel);
    recurrent.push_back(*from_h[k]->recurrent);
  }
  const auto first = ReadWeight(recurrent[0].matrix);
  const auto shape = first ? shape_of_(*first) : std::nullopt;
  if (!shape || shape->size() != 2) return false;
  const std::int64_t units = shape->front();
  const auto whole = Whole(recurrent, units, &StepMatcher::ReadWeight);
  if (!whole) return false;
  step->recurrent = *whole;
  Linear linear;
  linear.x = from_x[0]->x;
  linear.kernel = Whole(kernel, units, &StepMatcher::ReadWeight);
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
  const auto whole =
      bias.size() == sums.size() ? Whole(bias, step.units, &StepMatcher::ReadBias) : std::nullopt;
  if (!whole || !AddBias(*whole, -1, &step)) return {};
  return step;
}

std::optional<RecurrentStep> StepMatcher::GruApart(const GruParts& parts, const Value& state) const {
  Apart z, r, x, h;  // x and h are the candidate's
  RecurrentStep step;
  const bool after = parts.reset_after;
  step.cell = after ? rnn::Cell::kGruResetAfter : rnn::Cell::kGruResetBefore;
  if (!ReadApart(parts.update, state, &z) || !ReadApart(parts.reset, state, &r) ||
      !ReadApart(parts.x, state, &x) || x.recurrent)
    return {};
  if (!after) h.recurrent = ReadGate(parts.h);
  if ((after && !ReadApart(parts.h, state, &h)) || h.kernel ||
      !FinishApart({&z, &r, &x}, {&z, &r, &h}, &step))
    return {};

  if (x.bias.empty() && h.bias.empty() && z.bias.empty() && r.bias.empty()) return step;
  const std::size_t count = after ? 2 : 1;
  if (x.bias.size() != 1 || h.bias.size() != count - 1 || z.bias.size() != count || r.bias.size() != count)
    return {};
  // Of a gate's two biases, the input's is the one that belongs to the same weight as the candidate's.
  const auto matrix_is = [&](const Columns& part, const Columns& other) {
    const auto a = ReadBias(part.matrix), b = ReadBias(other.matrix);
    return a && b && *a == *b;
  };
  for (Apart* gate : {&z, &r}) {
    if (!matrix_is(gate->bias[0], x.bias[0])) std::reverse(gate->bias.begin(), gate->bias.end());
  }
  const auto of_x = Whole({z.bias[0], r.bias[0], x.bias[0]}, step.units, &StepMatcher::ReadBias);
  if (!of_x) return {};
  if (!after) {
    if (!AddBias(*of_x, -1, &step)) return {};
    return step;
  }
  const auto of_h = Whole({z.bias[1], r.bias[1], h.bias[0]}, step.units, &StepMatcher::ReadBias);
  if (!of_h || !AddBiases(*of_x, *of_h, &step)) return {};
  return step;
}

}  // namespace savedmodel::engine
