// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/recurrent/loop.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "engine/optimize/match/match.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

// Ops without side effects: an output of one that leads to no result does not matter.
bool IsPure(const std::string& op) {
  return IsListed(
      " Add AddV2 BiasAdd Const Identity Less LogicalAnd MatMul Mul NoOp Pack Range ReadVariableOp"
      " Reshape Select SelectV2 Shape Sigmoid Split SplitV Squeeze StridedSlice Sub Tanh"
      " TensorListGetItem TensorListSetItem Tile Transpose Unpack ",
      op);
}

bool Has(const tf::FunctionDef& function, std::initializer_list<const char*> ops) {
  return std::any_of(function.node_def().begin(), function.node_def().end(),
                     [&](const tf::NodeDef& node) { return IsOneOf(node.op(), ops); });
}

class Reader {
 public:
  Reader(const Dataflow& graph, const tf::NodeDef& loop, const tf::FunctionDef& cond,
         const tf::FunctionDef& body)
      : graph_(graph), loop_(loop), cond_(cond), body_(body), cond_flow_(cond), body_flow_(body) {}

  RecurrentLoop Read() {
    ReadArguments();
    ReadTrips();
    ReadResults();
    ReadStep();
    ReadInputList();
    return out_;
  }

 private:
  Value InputOfLoop(int i) const { return graph_.Resolve(loop_.input(i)); }
  bool Stays(int i) const { return out_.stays[static_cast<std::size_t>(i)]; }
  bool IsCounter(const Value& value) const { return value.IsArgument() && counters_.count(value.index) != 0; }

  void ReadArguments() {
    const int count = CountDataInputs(loop_);
    Require(body_.signature().input_arg_size() == count && body_.signature().output_arg_size() == count &&
                cond_.signature().input_arg_size() == count,
            "its functions do not fit to it");
    Require(!Has(body_, {"PartitionedCall", "StatefulPartitionedCall"}), "its body calls a function");
    for (const tf::FunctionDef* function : {&cond_, &body_}) {
      for (const tf::NodeDef& node : function->node_def()) {
        if (!IsPure(node.op())) throw Mismatch{"it has the operation " + node.op()};
      }
    }
    for (int i = 0; i < count; ++i) {
      const auto returned = body_.ret().find(body_.signature().output_arg(i).name());
      Require(returned != body_.ret().end(), "its functions do not fit to it");
      next_.push_back(body_flow_.Resolve(returned->second));
      out_.stays.push_back(next_.back() == Value{nullptr, i});
    }
    for (int i = 0; i < count; ++i) {
      if (CountsUp(i) && Integer(InputOfLoop(i)) == 0) counters_.insert(i);
    }
  }

  bool CountsUp(int i) const {
    const Value& next = next_[static_cast<std::size_t>(i)];
    if (!next.Is("AddV2") && !next.Is("Add")) return false;
    const Value a = body_flow_.Input(next, 0), b = body_flow_.Input(next, 1), self{nullptr, i};
    return (a == self && Integer(b) == 1) || (b == self && Integer(a) == 1);
  }

  // Reads the condition: one or two counters that are less than bounds.
  void ReadTrips() {
    Require(cond_.ret().size() == 1, "its condition is not a comparison of its counter");
    const Value all = cond_flow_.Resolve(cond_.ret().begin()->second);
    std::vector<Value> terms = {all};
    if (all.Is("LogicalAnd")) terms = {cond_flow_.Input(all, 0), cond_flow_.Input(all, 1)};
    for (const Value& term : terms) {
      Require(term.Is("Less") && IsCounter(cond_flow_.Input(term, 0)),
              "its condition is not a comparison of its counter");
      const Value limit = cond_flow_.Input(term, 1);
      Extent bound;
      if (limit.IsArgument()) {
        Require(Stays(limit.index), "how often it runs changes while it runs");
        bound = ReadExtent(graph_, InputOfLoop(limit.index));
      } else {
        bound = ReadExtent(cond_flow_, limit);
        Require(bound.number >= 0, "how often it runs can't be told");
      }
      Require(bound.known(), "how often it runs can't be told");
      if (!out_.trips.known()) out_.trips = bound;
      if (out_.trips.number >= 0 && bound.number >= 0) {
        out_.trips.number = std::min(out_.trips.number, bound.number);
      }
      Require(bound.number >= 0 ? out_.trips.number >= 0 : out_.trips == bound,
              "how often it runs can't be told");
    }
  }

  void ReadResults() {
    for (int i = 0; i < static_cast<int>(next_.size()); ++i) {
      if (Stays(i) || counters_.count(i) != 0) continue;
      const Value& next = next_[static_cast<std::size_t>(i)];
      if (next.Is("TensorListSetItem")) {
        Require(out_.y < 0, "it writes more than one list");
        ReadList(i, next);
      } else {
        states_.push_back(i);
      }
    }
    ReadMask();
    const std::size_t count = states_.size() - (carries_result_ ? 1 : 0);
    Require(count == 1 || count == 2, "it carries other values than an LSTM or a GRU");
  }

  // `then` where a mask is true, `otherwise` where it is false.
  struct Choice {
    Value mask, then, otherwise;
    std::int64_t columns = 1;  // of the mask
  };
  std::optional<Choice> ReadChoice(const Value& value) const {
    if (!value.Is("SelectV2") && !value.Is("Select")) return {};
    const Value tile = body_flow_.Input(value, 0);
    if (!tile.Is("Tile")) return {};
    const auto multiples = Integers(body_flow_.Input(tile, 1));
    if (!multiples || multiples->size() != 2 || multiples->front() != 1) return {};
    return Choice{body_flow_.Input(tile, 0), body_flow_.Input(value, 1), body_flow_.Input(value, 2),
                  multiples->back()};
  }

  // With a mask, each carried value is a choice between the step's and the previous one, or zeros.
  void ReadMask() {
    const auto chosen = [this](int i) { return ReadChoice(next_[static_cast<std::size_t>(i)]).has_value(); };
    if (std::none_of(states_.begin(), states_.end(), chosen)) return;
    for (const int i : states_) {
      const auto choice = ReadChoice(next_[static_cast<std::size_t>(i)]);
      Require(choice && (!mask_.known() || mask_ == choice->mask), "its mask is not that of a layer");
      mask_ = choice->mask;
      choices_.emplace(i, *choice);
    }
    Require(mask_.Is("TensorListGetItem"), "its mask is not that of a layer");
    const Value list = body_flow_.Input(mask_, 0);
    Require(list.IsArgument() && Stays(list.index) && IsCounter(body_flow_.Input(mask_, 1)) &&
                Attr(mask_, "element_dtype").type() == tf::DT_BOOL,
            "it reads its mask in another way");
    out_.mask = list.index;
    carries_result_ = states_.size() == 3 || (states_.size() == 2 && CarriesTwice(states_[0], states_[1]));
  }

  // True if two states get the same value: one of them is the previous step's result.
  bool CarriesTwice(int a, int b) const { return choices_.at(a).then == choices_.at(b).then; }

  // The next value of a state where the mask is true.
  Value Next(int state) const {
    const auto choice = choices_.find(state);
    return choice == choices_.end() ? next_[static_cast<std::size_t>(state)] : choice->second.then;
  }

  void ReadList(int i, const Value& written) {
    Require(body_flow_.Input(written, 0) == Value{nullptr, i} &&
                Attr(written, "element_dtype").type() == tf::DT_FLOAT &&
                !Attr(written, "resize_if_index_out_of_bounds").b(),
            "it writes its results in another way");
    const Value place = body_flow_.Input(written, 1);
    out_.y = i;
    out_.y_all = IsCounter(place);
    Require(out_.y_all || Integer(place) == 0, "it writes its results in another order");
    const Value list = InputOfLoop(i);
    Require(list.Is("TensorListReserve") && Attr(list, "element_dtype").type() == tf::DT_FLOAT,
            "its results go to a list that has something in it");
    const Extent size = ReadExtent(graph_, graph_.Input(list, 1));
    Require(out_.y_all ? size == out_.trips : size.number == 1, "its list of results has another length");
  }

  void ReadStep() {
    const auto shape_of = [this](const Weight& weight) {
      if (weight.constant != nullptr) return StaticShape(body_flow_, {weight.constant, 0});
      return StaticShape(graph_, InputOfLoop(weight.argument));
    };
    const StepMatcher matcher(body_flow_, out_.stays, shape_of);
    std::optional<RecurrentStep> step;
    // Find the roles of the states: only one order matches the step.
    std::sort(states_.begin(), states_.end());
    do {
      auto state = states_.begin();
      out_.previous = carries_result_ ? *state++ : -1;
      out_.h = *state++;
      out_.c = state == states_.end() ? -1 : *state;
      step = out_.c < 0 ? matcher.Gru(out_.h, Next(out_.h))
                        : matcher.Lstm(out_.h, out_.c, Next(out_.h), Next(out_.c));
    } while (!step && std::next_permutation(states_.begin(), states_.end()));
    Require(step.has_value(), "its steps are not those of an LSTM or a GRU with the default activations");
    out_.step = *step;
    if (out_.mask >= 0) CheckMask();
    if (out_.y < 0) return;
    const Value written = body_flow_.Input(next_[static_cast<std::size_t>(out_.y)], 2);
    const int result = out_.previous < 0 ? out_.h : out_.previous;
    Require(written == next_[static_cast<std::size_t>(result)], "its results are not its state");
  }

  void CheckMask() {
    for (const auto& [state, choice] : choices_) {
      const bool fits = choice.columns == 1 || choice.columns == out_.step.units;
      Require(fits, "its mask is not that of a layer");
      if (choice.otherwise == Value{nullptr, state}) continue;
      Require(state == out_.previous && choice.otherwise.IsArgument() && Stays(choice.otherwise.index),
              "its mask is not that of a layer");
      out_.masked_result = choice.otherwise.index;
    }
    // Otherwise a result before the first unmasked step would be the state, which need not be zeros.
    Require(out_.y < 0 || (out_.previous >= 0 && CarriesTwice(out_.previous, out_.h)),
            "its results are not its state");
  }

  void ReadInputList() {
    const Value &get = out_.step.x, list = body_flow_.Input(get, 0);
    Require(list.IsArgument() && Stays(list.index) && IsCounter(body_flow_.Input(get, 1)) &&
                Attr(get, "element_dtype").type() == tf::DT_FLOAT,
            "it reads its input in another way");
    out_.x = list.index;
    const Value from = InputOfLoop(out_.x);
    Require(from.Is("TensorListFromTensor") && Attr(from, "element_dtype").type() == tf::DT_FLOAT,
            "its input is not a list made of a tensor");
    const Extent length = DimensionOf(graph_, graph_.Input(from, 0), 0);
    Require(out_.trips.number >= 0 || out_.trips == length, "it does not run over the whole of its input");
  }

  const Dataflow& graph_;
  const tf::NodeDef& loop_;
  const tf::FunctionDef &cond_, &body_;
  const Dataflow cond_flow_, body_flow_;
  std::vector<Value> next_;  // what the body returns for each argument
  std::set<int> counters_;   // arguments that count up from 0
  std::vector<int> states_;
  Value mask_;  // the TensorListGetItem
  std::map<int, Choice> choices_;
  bool carries_result_ = false;
  RecurrentLoop out_;
};

}  // namespace

Extent ReadExtent(const Dataflow& graph, const Value& scalar) {
  Extent extent;
  if (const auto number = Integer(scalar)) {
    if (*number >= 0) extent.number = *number;
  } else if (scalar.Is("Max")) {
    return ReadExtent(graph, graph.Input(scalar, 0));  // of a scalar, as all extents are
  } else if (scalar.Is("StridedSlice") && Attr(scalar, "shrink_axis_mask").i() == 1) {
    if (!AreZero(scalar, {"begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask"})) return {};
    const Value shape = graph.Input(scalar, 0);
    const auto begin = Integers(graph.Input(scalar, 1)), strides = Integers(graph.Input(scalar, 3));
    if (!shape.Is("Shape") || !begin || begin->size() != 1 || begin->front() < 0 || !strides) return {};
    if (strides->size() != 1 || strides->front() != 1) return {};
    return DimensionOf(graph, graph.Input(shape, 0), static_cast<int>(begin->front()));
  }
  return extent;
}

Extent DimensionOf(const Dataflow& graph, Value tensor, int dim) {
  while (tensor.known()) {
    if (tensor.Is("Transpose")) {
      const auto permutation = Integers(graph.Input(tensor, 1));
      if (!permutation || dim >= static_cast<int>(permutation->size())) break;
      dim = static_cast<int>((*permutation)[static_cast<std::size_t>(dim)]);
    } else if (!tensor.Is("ReverseV2")) {
      break;
    }
    tensor = graph.Input(tensor, 0);
  }
  Extent extent;
  extent.tensor = tensor;
  extent.dim = dim;
  return extent;
}

bool LooksRecurrent(const tf::FunctionDef& body) {
  return Has(body,
             {"MatMul", "BatchMatMul", "BatchMatMulV2", "PartitionedCall", "StatefulPartitionedCall"}) &&
         Has(body, {"TensorListSetItem", "TensorListGetItem"});
}

RecurrentLoop ReadLoop(const Dataflow& graph, const tf::NodeDef& loop, const tf::FunctionDef& cond,
                       const tf::FunctionDef& body) {
  return Reader(graph, loop, cond, body).Read();
}

}  // namespace savedmodel::engine
