// SPDX-License-Identifier: Apache-2.0
// Patterns of every kind on small graphs; near misses; what a match knows.
#include <gtest/gtest.h>

#include "engine/optimize/match/pattern.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Dims;
using testing::GraphBuilder;

// A graph of `x` and `y`, which the test adds to and searches from the last node.
class Search {
 public:
  std::string Scalar(float value) { return builder_.Value(tf::Tensor(value)); }
  std::string Op(const std::string& op, const std::vector<std::string>& inputs,
                 tf::DataType type = tf::DT_FLOAT) {
    return last_ = builder_.Op(op, inputs, {{"T", type}});
  }
  GraphBuilder* builder() { return &builder_; }
  bool Find(const Pattern& pattern) {
    graph_ = builder_.graph();
    rewriter_ = std::make_unique<Rewriter>(&graph_);
    match_ = std::make_unique<Match>(rewriter_.get());
    return match_->Find(pattern, *rewriter_->Find(last_));
  }
  const Match& match() const { return *match_; }

 private:
  GraphBuilder builder_;
  std::string last_;
  tf::GraphDef graph_;
  std::unique_ptr<Rewriter> rewriter_;
  std::unique_ptr<Match> match_;

 public:
  const std::string x = builder_.Feed({2, 3}), y = builder_.Feed({2, 3});
};

TEST(Pattern, SumsAndProductsEitherWay) {
  const auto a = Any(), b = Any();
  for (const char* op : {"Mul", "Sub"}) {
    for (const bool swapped : {false, true}) {
      Search search;
      const std::string tanh = search.Op("Tanh", {search.y});
      search.Op(
          op, swapped ? std::vector<std::string>{tanh, search.x} : std::vector<std::string>{search.x, tanh});
      const bool swappable = op == std::string("Mul");
      EXPECT_EQ(search.Find(swappable ? Mul(a, Tanh(b)) : Sub(a, Tanh(b))), swappable || !swapped);
      if (!swappable && swapped) continue;
      EXPECT_EQ(search.match().Name(a), search.x);
      EXPECT_EQ(search.match().Name(b), search.y);
      EXPECT_EQ(search.match().inside().size(), 2U);
    }
  }
}

TEST(Pattern, OnePatternIsOneTensor) {
  const auto x = Any();
  Search same, other;
  same.Op("Mul", {same.x, same.Op("Sigmoid", {same.x})});
  EXPECT_TRUE(same.Find(Mul(x, Sigmoid(x))));
  other.Op("Mul", {other.x, other.Op("Sigmoid", {other.y})});
  EXPECT_FALSE(other.Find(Mul(x, Sigmoid(x))));
  EXPECT_FALSE(other.match()[x].known());  // a failed search leaves nothing behind
  EXPECT_TRUE(other.match().inside().empty());
  EXPECT_TRUE(other.Find(Mul(Any(), Sigmoid(Any()))));
}

TEST(Pattern, Scalars) {
  const auto x = Any(), any = AnyScalar();
  Search search;
  search.Op("AddV2", {search.Scalar(3), search.x});
  EXPECT_TRUE(search.Find(Sum(x, Scalar(3))));
  EXPECT_FALSE(search.Find(Sum(x, Scalar(3.1))));
  EXPECT_TRUE(search.Find(Sum(x, any)));
  EXPECT_EQ(search.match().Number(any), 3);
  EXPECT_EQ(search.match().Name(x), search.x);
  Search row;
  row.Op("AddV2", {row.x, row.builder()->Constant(Dims{3}, 3, 3)});
  EXPECT_FALSE(row.Find(Sum(x, Scalar(3))));
  EXPECT_TRUE(row.Find(Sum(x, Constant())));
  Search more_dimensions;  // the sum has three
  more_dimensions.Op("AddV2", {more_dimensions.x, more_dimensions.builder()->Constant(Dims{1, 1, 1}, 3, 3)});
  EXPECT_FALSE(more_dimensions.Find(Sum(x, Scalar(3))));
}

TEST(Pattern, ConstantsThroughIdentity) {
  const auto constant = Constant();
  Search search;
  const std::string value = search.Scalar(2);
  search.Op("Mul", {search.x, search.Op("Identity", {value})});
  EXPECT_TRUE(search.Find(Mul(Any(), constant)));
  EXPECT_EQ(search.match().Name(constant), value);
  EXPECT_FALSE(search.Find(Mul(Any(), constant.where([](const tf::NodeDef&) { return false; }))));
}

TEST(Pattern, FirstOptionThatFits) {
  const auto x = Any(), gate = Relu6(Sum(x, Scalar(3))).once();
  const auto product = Mul(gate, Scalar(0.5)), quotient = RealDiv(gate, Scalar(2));
  for (const bool divides : {false, true}) {
    Search search;
    const std::string relu = search.Op("Relu6", {search.Op("Add", {search.x, search.Scalar(3)})});
    search.Op("Mul",
              {search.x, search.Op(divides ? "RealDiv" : "Mul", {relu, search.Scalar(divides ? 2 : 0.5F)})});
    EXPECT_TRUE(search.Find(Mul(x, Either({product, quotient}))));
    EXPECT_EQ(search.match()[quotient].known(), divides);
    EXPECT_EQ(search.match()[product].known(), !divides);
    EXPECT_EQ(search.match().Name(gate), relu);
  }
}

TEST(Pattern, FactorsInAnyOrderAndGrouping) {
  const auto x = Any(), tanh = Tanh(x), pattern = Factors(-0.25, {x, tanh});
  Search search;
  const std::string half = search.Op("Mul", {search.Op("Tanh", {search.x}), search.Scalar(0.5F)});
  search.Op("RealDiv", {search.Op("Mul", {half, search.Op("Neg", {search.x})}), search.Scalar(2)});
  EXPECT_TRUE(search.Find(pattern));
  EXPECT_EQ(search.match().Name(x), search.x);
  EXPECT_EQ(search.match().inside().size(), 5U);
  EXPECT_TRUE(search.match().IsAlone());
  EXPECT_FALSE(search.Find(Factors(0.25, {x, tanh})));
  EXPECT_FALSE(search.Find(Factors(-0.25, {x, tanh, Any()})));
  EXPECT_FALSE(search.Find(Factors(-0.25, {x, x})));
  search.builder()->Fetch(half);  // read twice: a factor of its own
  EXPECT_FALSE(search.Find(pattern));
  EXPECT_TRUE(search.Find(Factors(-0.5, {Scaled(tanh), x})));
  Search one;
  one.Op("Neg", {one.Op("Relu", {one.x})});
  const auto relu = Op({"Relu"}, {x}), negative = Scaled(relu);
  EXPECT_TRUE(one.Find(negative));
  EXPECT_EQ(one.match().Number(negative), -1);
}

TEST(Pattern, ReadersOfTheInside) {
  const auto x = Any(), inner = Tanh(x), outer = Sigmoid(inner);
  Search search;
  const std::string tanh = search.Op("Tanh", {search.x});
  const std::string sigmoid = search.Op("Sigmoid", {tanh});
  search.builder()->Fetch(sigmoid);
  EXPECT_TRUE(search.Find(outer));
  EXPECT_TRUE(search.match().IsAlone());
  EXPECT_TRUE(search.Find(Sigmoid(inner.once())));
  search.builder()->Fetch(tanh);
  EXPECT_TRUE(search.Find(outer));
  EXPECT_FALSE(search.match().IsAlone());
  EXPECT_FALSE(search.Find(Sigmoid(inner.once())));
}

TEST(Pattern, ControlInputsAndOtherTypes) {
  const auto x = Any();
  Search search;
  search.Op("Tanh", {search.x, "^" + search.y});
  EXPECT_FALSE(search.Find(Tanh(x)));
  EXPECT_TRUE(search.Find(Tanh(x).loose()));
  Search half;
  half.Op("Tanh", {half.x}, tf::DT_HALF);
  EXPECT_FALSE(half.Find(Tanh(x)));
  EXPECT_TRUE(half.Find(Tanh(x).loose()));
}

TEST(Pattern, BodiesOfFunctions) {
  tf::FunctionDef body;
  body.mutable_signature()->add_input_arg()->set_name("state");
  const auto add = [&](const char* name, const char* op, const std::vector<std::string>& inputs) {
    tf::NodeDef* node = body.add_node_def();
    node->set_name(name);
    node->set_op(op);
    for (const std::string& input : inputs) node->add_input(input);
    (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    return node;
  };
  tf::NodeDef* one = add("one", "Const", {});
  (*one->mutable_attr())["dtype"].set_type(tf::DT_FLOAT);
  tf::Tensor(1.0F).AsProtoField((*one->mutable_attr())["value"].mutable_tensor());
  add("passed", "Identity", {"state"});
  add("gate", "Sigmoid", {"passed:output:0", "^one"});
  add("rest", "Sub", {"one:output:0", "gate:y:0"});
  add("result", "Mul", {"rest:z:0", "state"});
  const Dataflow flow(body);
  Match match(flow);
  const auto state = Is({nullptr, 0}), gate = Sigmoid(state);
  EXPECT_TRUE(match.Find(Mul(state, Sub(Scalar(1), gate)), flow.Source("result:z:0")));
  EXPECT_EQ(match[gate], flow.Source("gate:y:0"));
  EXPECT_FALSE(match.Find(Mul(Is({nullptr, 1}), Sub(Scalar(1), Any())), flow.Source("result:z:0")));
}

}  // namespace
}  // namespace savedmodel::engine
