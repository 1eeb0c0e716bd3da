// SPDX-License-Identifier: Apache-2.0
// Patterns that read like what they match, and the search for one behind a node:
//
//   const auto x = Any();
//   const auto gate = Relu6(Sum(x, Scalar(3))).once();
//   const auto hard_swish = Mul(x, Either({Mul(gate, Scalar(1.0 / 6)), RealDiv(gate, Scalar(6))}));
//
// A pattern that stands in several places is the same tensor in all of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/graph/dataflow.h"
#include "engine/graph/rewriter.h"

namespace savedmodel::engine {

// A cheap value. Those of ops match float32 nodes without control inputs that have these inputs, or more.
class Pattern {
 public:
  struct Spec;
  using Check = std::function<bool(const tensorflow::NodeDef& node)>;
  explicit Pattern(Spec spec);

  // Another pattern: the same, but
  Pattern once() const;                     // read by one node, in one place
  Pattern loose() const;                    // of any type, with control inputs or without
  Pattern where(const Check& check) const;  // of a node, for a constant the Const, that passes this as well

 private:
  friend class Match;
  template <typename Change>
  Pattern With(const Change& change) const;
  std::shared_ptr<const Spec> spec_;
};

using Patterns = std::vector<Pattern>;

Pattern Any();
Pattern Is(const Value& value);
Pattern Constant();             // through Identity nodes, which are no part of the match
Pattern Scalar(double number);  // a float32 constant that changes no shape
Pattern AnyScalar();
Pattern Either(Patterns options);  // the first that fits
// `scale` times the product of these, in any order and grouping.
Pattern Factors(double scale, Patterns factors);
Pattern Scaled(const Pattern& factor);  // by any constant, or none
Pattern Op(std::vector<const char*> ops, Patterns inputs = {});
Pattern Swappable(std::vector<const char*> ops, const Pattern& a, const Pattern& b);  // either way around

inline Pattern Mul(const Pattern& a, const Pattern& b) { return Swappable({"Mul"}, a, b); }
inline Pattern Sum(const Pattern& a, const Pattern& b) { return Swappable({"AddV2", "Add"}, a, b); }
inline Pattern SquaredDifference(const Pattern& a, const Pattern& b) {
  return Swappable({"SquaredDifference"}, a, b);
}
inline Pattern Sub(const Pattern& a, const Pattern& b) { return Op({"Sub"}, {a, b}); }
inline Pattern RealDiv(const Pattern& a, const Pattern& b) { return Op({"RealDiv"}, {a, b}); }
inline Pattern Pow(const Pattern& x, const Pattern& exponent) { return Op({"Pow"}, {x, exponent}); }
inline Pattern Erf(const Pattern& x) { return Op({"Erf"}, {x}); }
inline Pattern Erfc(const Pattern& x) { return Op({"Erfc"}, {x}); }
inline Pattern Relu6(const Pattern& x) { return Op({"Relu6"}, {x}); }
inline Pattern Rsqrt(const Pattern& x) { return Op({"Rsqrt"}, {x}); }
inline Pattern Sigmoid(const Pattern& x) { return Op({"Sigmoid"}, {x}); }
inline Pattern Softmax(const Pattern& x) { return Op({"Softmax"}, {x}); }
inline Pattern Sqrt(const Pattern& x) { return Op({"Sqrt"}, {x}); }
inline Pattern Square(const Pattern& x) { return Op({"Square"}, {x}); }
inline Pattern Tanh(const Pattern& x) { return Op({"Tanh"}, {x}); }

class Match {
 public:
  explicit Match(Rewriter* graph);
  // Of a function's body: sees through Identity nodes, lets all nodes have control inputs, knows no readers.
  explicit Match(const Dataflow& body);
  ~Match();

  // Forgets the last match.
  bool Find(const Pattern& pattern, const Value& root);
  bool Find(const Pattern& pattern, const tensorflow::NodeDef& root) {
    return Find(pattern, Value{&root, 0});
  }

  // Of the last match; unknown for a pattern that took no part in it.
  Value operator[](const Pattern& pattern) const;
  const tensorflow::NodeDef& Node(const Pattern& pattern) const { return *(*this)[pattern].node; }
  std::string Name(const Pattern& pattern) const;
  double Number(const Pattern& pattern) const;  // of a scalar, or the scale of a product
  // All nodes of ops, the root and those of products too.
  const std::vector<const tensorflow::NodeDef*>& inside() const { return inside_; }
  // True if only the root is read from outside, so that nothing would be computed twice.
  bool IsAlone() const;

 private:
  class Graph;
  class RewriterGraph;
  class BodyGraph;
  struct Place;
  struct Goal;
  struct Bound {
    const Pattern::Spec* spec;
    Value value;
    double number;
  };

  const Bound* Of(const Pattern::Spec& spec) const;
  bool Solve(const Goal* goal);
  bool SolveAll(const Patterns& patterns, const std::vector<Place>& places, const Goal* next);
  bool Open(const Pattern::Spec& spec, const Place& place, const Goal* next);
  bool OpenNode(const Pattern::Spec& spec, const tensorflow::NodeDef& node, const Goal* next);
  bool OpenFactors(const Pattern::Spec& spec, const Place& place, const Goal* next);
  void Multiply(const Place& place, bool root, double* scale, std::vector<Place>* factors);

  std::unique_ptr<const Graph> graph_;
  std::shared_ptr<const Pattern::Spec> pattern_;  // the last, which `bound_` points into
  const tensorflow::NodeDef* root_ = nullptr;
  std::vector<Bound> bound_;
  std::vector<const tensorflow::NodeDef*> inside_;
};

}  // namespace savedmodel::engine
