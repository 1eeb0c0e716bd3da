// SPDX-License-Identifier: Apache-2.0
// A search with backtracking: a goal is a pattern at a place, and leads to the goals of its inputs.
#include "engine/optimize/match/pattern.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/optimize/match/match.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

struct Pattern::Spec {
  enum class Kind { kAny, kIs, kConstant, kScalar, kEither, kFactors, kOp };

  Kind kind = Kind::kAny;
  std::vector<const char*> ops = {};
  Patterns parts = {};                // inputs, options or factors
  std::optional<double> number = {};  // of a scalar, or as a scale; none: any
  bool swappable = false, once = false, loose = false;
  Value value = {};
  Check check = {};
};

using Kind = Pattern::Spec::Kind;

Pattern::Pattern(Spec spec) : spec_(std::make_shared<const Spec>(std::move(spec))) {}

template <typename Change>
Pattern Pattern::With(const Change& change) const {
  Spec spec = *spec_;
  change(&spec);
  return Pattern(std::move(spec));
}

Pattern Pattern::once() const {
  return With([](Spec* spec) { spec->once = true; });
}

Pattern Pattern::loose() const {
  return With([](Spec* spec) { spec->loose = true; });
}

Pattern Pattern::where(const Check& check) const {
  return With([&](Spec* spec) { spec->check = check; });
}

Pattern Any() { return Pattern({}); }

Pattern Is(const Value& value) {
  Pattern::Spec spec{Kind::kIs};
  spec.value = value;
  return Pattern(std::move(spec));
}

Pattern Constant() { return Pattern({Kind::kConstant}); }

Pattern Scalar(double number) { return Pattern({Kind::kScalar, {}, {}, number}); }

Pattern AnyScalar() { return Pattern({Kind::kScalar}); }

Pattern Either(Patterns options) { return Pattern({Kind::kEither, {}, std::move(options)}); }

Pattern Factors(double scale, Patterns factors) {
  return Pattern({Kind::kFactors, {}, std::move(factors), scale});
}

Pattern Scaled(const Pattern& factor) { return Pattern({Kind::kFactors, {}, {factor}}); }

Pattern Op(std::vector<const char*> ops, Patterns inputs) {
  return Pattern({Kind::kOp, std::move(ops), std::move(inputs)});
}

Pattern Swappable(std::vector<const char*> ops, const Pattern& a, const Pattern& b) {
  return Pattern({Kind::kOp, std::move(ops), {a, b}, std::nullopt, true});
}

// Where a tensor is read; a root has no reader.
struct Match::Place {
  Value value;
  const tf::NodeDef* reader = nullptr;
  int input = 0;
};

struct Match::Goal {
  const Pattern::Spec* spec;
  Place place;
  const Goal* next;
};

// Questions of the search to a graph.
class Match::Graph {
 public:
  virtual ~Graph() = default;
  virtual Value Input(const tf::NodeDef& node, int input) const = 0;
  virtual const tf::NodeDef* Constant(const tf::NodeDef& node, int input) const = 0;
  virtual std::optional<double> Scalar(const tf::NodeDef& node, int input) const = 0;
  virtual bool Waits(const tf::NodeDef& node) const = 0;
  virtual const std::vector<Rewriter::Reader>& Readers(const tf::NodeDef& node) const = 0;
};

class Match::RewriterGraph final : public Graph {
 public:
  explicit RewriterGraph(Rewriter* graph) : graph_(graph) {}
  Value Input(const tf::NodeDef& node, int input) const override {
    const TensorRef tensor(node.input(input));
    const tf::NodeDef* source = tensor.is_control() ? nullptr : graph_->Find(tensor.node);
    return source == nullptr ? Value() : Value{source, tensor.index};
  }
  const tf::NodeDef* Constant(const tf::NodeDef& node, int input) const override {
    return ConstantNode(*graph_, node, input);
  }
  std::optional<double> Scalar(const tf::NodeDef& node, int input) const override {
    return ScalarValue(graph_, node, input);
  }
  bool Waits(const tf::NodeDef& node) const override { return HasControlInputs(node); }
  const std::vector<Rewriter::Reader>& Readers(const tf::NodeDef& node) const override {
    return graph_->Readers(node);
  }

 private:
  Rewriter* graph_;
};

class Match::BodyGraph final : public Graph {
 public:
  explicit BodyGraph(const Dataflow& body) : body_(body) {}
  Value Input(const tf::NodeDef& node, int input) const override { return body_.Input({&node, 0}, input); }
  const tf::NodeDef* Constant(const tf::NodeDef& node, int input) const override {
    const Value value = Input(node, input);
    return value.Is("Const") ? value.node : nullptr;
  }
  std::optional<double> Scalar(const tf::NodeDef& node, int input) const override {
    return RepeatedNumber(Input(node, input));
  }
  bool Waits(const tf::NodeDef&) const override { return false; }
  const std::vector<Rewriter::Reader>& Readers(const tf::NodeDef&) const override {
    static const auto* const none = new std::vector<Rewriter::Reader>();
    return *none;
  }

 private:
  const Dataflow& body_;
};

Match::Match(Rewriter* graph) : graph_(std::make_unique<RewriterGraph>(graph)) {}
Match::Match(const Dataflow& body) : graph_(std::make_unique<BodyGraph>(body)) {}
Match::~Match() = default;

bool Match::Find(const Pattern& pattern, const Value& root) {
  bound_.clear();
  inside_.clear();
  pattern_ = pattern.spec_;
  root_ = root.node;
  const Goal goal{pattern.spec_.get(), {root}, nullptr};
  return Solve(&goal);
}

const Match::Bound* Match::Of(const Pattern::Spec& spec) const {
  const auto is_it = [&](const Bound& bound) { return bound.spec == &spec; };
  const auto found = std::find_if(bound_.begin(), bound_.end(), is_it);
  return found == bound_.end() ? nullptr : &*found;
}

Value Match::operator[](const Pattern& pattern) const {
  const Bound* bound = Of(*pattern.spec_);
  return bound == nullptr ? Value() : bound->value;
}

std::string Match::Name(const Pattern& pattern) const {
  const Value value = (*this)[pattern];
  return value.node == nullptr ? "" : Reference(value.node->name(), value.index);
}

double Match::Number(const Pattern& pattern) const {
  const Bound* bound = Of(*pattern.spec_);
  return bound == nullptr ? 0 : bound->number;
}

bool Match::IsAlone() const {
  const auto is_inside = [this](const Rewriter::Reader& reader) {
    return std::find(inside_.begin(), inside_.end(), reader.node) != inside_.end();
  };
  return std::all_of(inside_.begin(), inside_.end(), [&](const tf::NodeDef* node) {
    const auto& readers = graph_->Readers(*node);
    return node == root_ || std::all_of(readers.begin(), readers.end(), is_inside);
  });
}

bool Match::Solve(const Goal* goal) {
  if (goal == nullptr) return true;
  const Pattern::Spec& spec = *goal->spec;
  Place place = goal->place;
  if (spec.kind == Kind::kConstant || spec.kind == Kind::kScalar) {
    if (place.reader == nullptr) return false;
    const tf::NodeDef* constant = graph_->Constant(*place.reader, place.input);
    place.value = {constant, constant == nullptr ? -1 : 0};
  }
  if (!place.value.known()) return false;
  if (const Bound* bound = Of(spec); bound != nullptr)
    return bound->value == place.value && Solve(goal->next);
  const std::size_t bounds = bound_.size(), inside = inside_.size();
  bound_.push_back({&spec, place.value, 0});
  if (Open(spec, place, goal->next)) return true;
  bound_.erase(bound_.begin() + static_cast<std::ptrdiff_t>(bounds), bound_.end());
  inside_.resize(inside);
  return false;
}

bool Match::SolveAll(const Patterns& patterns, const std::vector<Place>& places, const Goal* next) {
  std::vector<Goal> goals(patterns.size());
  for (std::size_t i = patterns.size(); i-- > 0; next = &goals[i]) {
    goals[i] = {patterns[i].spec_.get(), places[i], next};
  }
  return Solve(next);
}

bool Match::Open(const Pattern::Spec& spec, const Place& place, const Goal* next) {
  const tf::NodeDef* node = place.value.node;
  if (spec.once && (node == nullptr || graph_->Readers(*node).size() != 1)) return false;
  switch (spec.kind) {
    case Kind::kAny:
      return (!spec.check || (node != nullptr && spec.check(*node))) && Solve(next);
    case Kind::kIs:
      return place.value == spec.value && Solve(next);
    case Kind::kConstant:
      return (!spec.check || spec.check(*node)) && Solve(next);
    case Kind::kScalar: {
      const std::optional<double> number = graph_->Scalar(*place.reader, place.input);
      if (!number || (spec.number && !IsClose(*number, *spec.number))) return false;
      bound_.back().number = *number;
      return Solve(next);
    }
    case Kind::kEither:
      return std::any_of(spec.parts.begin(), spec.parts.end(), [&](const Pattern& option) {
        const Goal goal{option.spec_.get(), place, next};
        return Solve(&goal);
      });
    case Kind::kFactors:
      return OpenFactors(spec, place, next);
    case Kind::kOp:
      return node != nullptr && place.value.index == 0 && OpenNode(spec, *node, next);
  }
  return false;
}

bool Match::OpenNode(const Pattern::Spec& spec, const tf::NodeDef& node, const Goal* next) {
  const auto is_op = [&](const char* op) { return node.op() == op; };
  if (std::none_of(spec.ops.begin(), spec.ops.end(), is_op)) return false;
  if (!spec.loose && (Attr(node, "T").type() != tf::DT_FLOAT || graph_->Waits(node))) return false;
  if (static_cast<std::size_t>(node.input_size()) < spec.parts.size()) return false;
  if (spec.check && !spec.check(node)) return false;
  inside_.push_back(&node);
  std::vector<Place> places;
  for (int i = 0; i < static_cast<int>(spec.parts.size()); ++i)
    places.push_back({graph_->Input(node, i), &node, i});
  if (SolveAll(spec.parts, places, next)) return true;
  if (!spec.swappable) return false;
  std::swap(places[0], places[1]);
  return SolveAll(spec.parts, places, next);
}

// Goes on through Mul, Neg and division by a constant as long as a node has one reader.
void Match::Multiply(const Place& place, bool root, double* scale, std::vector<Place>* factors) {
  const tf::NodeDef* node = place.value.index == 0 ? place.value.node : nullptr;
  const bool inner = node != nullptr && (root || graph_->Readers(*node).size() == 1) &&
                     Attr(*node, "T").type() == tf::DT_FLOAT && !graph_->Waits(*node);
  if (inner && node->op() == "Mul") {
    inside_.push_back(node);
    for (const int i : {0, 1}) {
      if (const std::optional<double> number = graph_->Scalar(*node, i)) {
        *scale *= *number;
      } else {
        Multiply({graph_->Input(*node, i), node, i}, false, scale, factors);
      }
    }
    return;
  }
  const bool divides = inner && node->op() == "RealDiv";
  const double divisor = divides ? graph_->Scalar(*node, 1).value_or(0) : -1;
  if (!inner || (!divides && node->op() != "Neg") || divisor == 0) return factors->push_back(place);
  inside_.push_back(node);
  *scale /= divisor;
  Multiply({graph_->Input(*node, 0), node, 0}, false, scale, factors);
}

bool Match::OpenFactors(const Pattern::Spec& spec, const Place& place, const Goal* next) {
  double scale = 1;
  std::vector<Place> factors;
  Multiply(place, true, &scale, &factors);
  if (factors.size() != spec.parts.size() || (spec.number && !IsClose(scale, *spec.number))) return false;
  bound_.back().number = scale;
  std::vector<std::size_t> order(factors.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    std::vector<Place> places;
    for (const std::size_t i : order) places.push_back(factors[i]);
    if (SolveAll(spec.parts, places, next)) return true;
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

}  // namespace savedmodel::engine
