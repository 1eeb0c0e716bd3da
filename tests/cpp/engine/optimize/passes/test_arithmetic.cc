// SPDX-License-Identifier: Apache-2.0
// FuseArithmetic: patterns that it replaces, near misses, and results that are equal to the last bit.
#include "engine/optimize/passes/passes.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::testing {
namespace {

using engine::FuseArithmetic;
using Ops = std::map<std::string, int>;

const Ops kOne{{"_SavedmodelArithmetic", 1}};

Rewritten Fused(const GraphBuilder& g) { return Rewrite(g, FuseArithmetic, 0); }

// Sizes around those of vectors and of blocks.
TEST(Arithmetic, EveryStepOfEveryWidth) {
  for (const std::int64_t channels : {1, 2, 3, 4, 15, 16, 17, 63, 64, 65, 100, 2050}) {
    for (const std::int64_t rows : {1, 7, 16, 50}) {
      GraphBuilder g;
      std::string x = g.Feed({-1, rows, channels});
      x = g.Op("Mul", {g.Constant({}), x});
      x = g.Op("Sub", {x, g.Constant({1, 1, channels})});
      x = g.Op("RealDiv", {x, g.Constant({channels}, 0.5F, 2)});
      x = g.Op("AddV2", {g.Constant({1, channels}), x});
      x = g.Op("Sub", {g.Constant({channels}), x});
      x = g.Op("Add", {x, g.Constant({1})});
      g.Fetch(g.Op("BiasAdd", {x, g.Constant({channels})}));
      const Rewritten r = Fused(g);
      EXPECT_EQ(r.count, 1);
      EXPECT_EQ(r.ops, kOne) << channels;
    }
  }
}

// Columns in blocks, and scalars over adjacent values.
TEST(Arithmetic, OfWideRows) {
  for (const Dims& shape : {Dims{3, 5000}, Dims{4100}, Dims{1, 150'528}}) {
    for (const bool rows : {false, true}) {
      GraphBuilder g;
      std::string x = g.Op("Mul", {g.Feed(shape), g.Constant({})});
      if (rows) x = g.Op("Sub", {x, g.Constant({shape.back()})});
      g.Fetch(g.Op("AddV2", {x, g.Constant({1})}));
      EXPECT_EQ(Fused(g).ops, kOne);
    }
  }
}

// In float32 (x - mean) * scale is not x * scale - mean * scale.
TEST(Arithmetic, KeepsDigitsOfLargeMeans) {
  GraphBuilder g;
  const std::string x = g.Op("AddV2", {g.Feed({-1, 9, 3}), g.Constant({3}, 1e6F, 2e6F)});
  g.Fetch(x);  // which therefore ends a chain
  g.Fetch(g.Op("Mul", {g.Op("Sub", {x, g.Constant({3}, 1e6F, 2e6F)}), g.Constant({3}, 1, 100)}));
  EXPECT_EQ(Fused(g).ops, (Ops{{"_SavedmodelArithmetic", 2}}));
}

TEST(Arithmetic, WithTheActivationBehind) {
  for (const char* activation : {"Relu", "Relu6", "LeakyRelu"}) {
    GraphBuilder g;
    const std::string x = g.Op("Mul", {g.Feed({-1, 5, 5, 24}), g.Constant({24})});
    const std::vector<Attribute> slope{{"alpha", 0.3F}};
    g.Fetch(g.Op(activation, {g.Op("AddV2", {x, g.Constant({24})})},
                 activation == std::string("LeakyRelu") ? slope : std::vector<Attribute>{}));
    EXPECT_EQ(Fused(g).ops, kOne) << activation;
  }
}

// A step that is fetched, or read twice, ends one chain and begins another.
TEST(Arithmetic, KeepsWhatLiesBetween) {
  GraphBuilder g;
  const std::string a = g.Op("Mul", {g.Feed({-1, 4, 6}), g.Constant({6})});
  g.Fetch(a);
  const std::string b = g.Op("Sub", {g.Op("AddV2", {a, g.Constant({6})}), g.Constant({})});
  g.Fetch(g.Op("Mul", {b, b}));
  EXPECT_EQ(Fused(g).ops, (Ops{{"_SavedmodelArithmetic", 2}, {"Mul", 1}}));
}

TEST(Arithmetic, OfNothing) {
  GraphBuilder g;
  g.Fetch(g.Op("Mul", {g.Feed({0, 4, 6}), g.Constant({6})}));
  EXPECT_EQ(Fused(g).ops, kOne);
}

TEST(Arithmetic, LeavesOthersAlone) {
  const auto count = [](const Dims& x, const Dims& constant, const char* op = "Mul",
                        const std::vector<Attribute>& more = {}) {
    GraphBuilder g;
    g.Fetch(g.Op(op, {g.Feed(x), g.Constant(constant)}, more));
    tf::GraphDef graph = g.graph();
    engine::Rewriter rewriter(&graph);
    return FuseArithmetic(&rewriter);
  };
  EXPECT_EQ(count({2, 5, 8}, {8}), 1);
  EXPECT_EQ(count({2, 5, 8}, {1, 1, 8}), 1);
  EXPECT_EQ(count({2, 5, 8}, {}), 0);            // TensorFlow's is as good
  EXPECT_EQ(count({2, 5, 8}, {1, 1, 1, 8}), 0);  // the result has another rank
  EXPECT_EQ(count({2, 5, 8}, {5, 1}), 0);
  EXPECT_EQ(count({2, 5, 8}, {5, 8}), 0);
  EXPECT_EQ(count({2, 5, 1}, {8}), 0);
  EXPECT_EQ(count({2, 5, -1}, {8}), 0);
  EXPECT_EQ(count({2, 5, 8}, {8}, "Maximum"), 0);
  EXPECT_EQ(count({2, 5, 8}, {8}, "Mul", {{"T", tf::DT_DOUBLE}}), 0);
  EXPECT_EQ(count({2, 5, 5, 8}, {8}, "BiasAdd"), 0);  // on its own, other passes look for it
  EXPECT_EQ(count({2, 8, 5, 8}, {8}, "BiasAdd", {{"data_format", "NCHW"}}), 0);

  GraphBuilder fed;  // no constant
  fed.Fetch(fed.Op("Mul", {fed.Feed({2, 5, 8}), fed.Feed({8})}));
  EXPECT_EQ(Fused(fed).count, 0);

  GraphBuilder quotient;  // of a constant
  quotient.Fetch(quotient.Op("RealDiv", {quotient.Constant({8}), quotient.Feed({2, 5, 8})}));
  EXPECT_EQ(Fused(quotient).count, 0);

  // Patterns that TensorFlow's own fusions look for.
  GraphBuilder shift;  // of an instance norm
  shift.Fetch(shift.Op("Sub", {shift.Constant({8}), shift.Feed({2, 5, 8})}));
  EXPECT_EQ(Fused(shift).count, 0);
  GraphBuilder gamma;  // the same
  gamma.Fetch(
      gamma.Op("Mul", {gamma.Op("Rsqrt", {gamma.Op("Exp", {gamma.Feed({2, 5, 8})})}), gamma.Constant({8})}));
  EXPECT_EQ(Fused(gamma).count, 0);
  GraphBuilder norm;  // Keras 2's layer norm
  std::string x =
      norm.Op("FusedBatchNormV3",
              {norm.Feed({1, 6, 8, 1}), norm.Constant({6}), norm.Constant({6}), norm.Constant({0}),
               norm.Constant({0})},
              {{"U", tf::DT_FLOAT}, {"is_training", true}, {"epsilon", 1e-3F}, {"data_format", "NCHW"}});
  x = norm.Op("Reshape", {x, norm.Ints({6, 8}, {2})}, {{"Tshape", tf::DT_INT32}});
  norm.Fetch(norm.Op("AddV2", {norm.Op("Mul", {x, norm.Constant({8})}), norm.Constant({8})}));
  tf::GraphDef normed = norm.graph();
  engine::Rewriter rewriter(&normed);
  EXPECT_EQ(FuseArithmetic(&rewriter), 0);
  GraphBuilder linear;
  const std::string product = linear.Op("MatMul", {linear.Feed({-1, 4}), linear.Constant({4, 8})},
                                        {{"transpose_a", false}, {"transpose_b", false}});
  linear.Fetch(linear.Op("Relu", {linear.Op("BiasAdd", {product, linear.Constant({8})})}));
  EXPECT_EQ(Fused(linear).count, 0);
}

// A bias of a convolution with other readers can't be fused with it.
TEST(Arithmetic, BehindAConvolutionOfTwoReaders) {
  GraphBuilder g;
  const std::string x = g.Op("Conv2D", {g.Feed({-1, 6, 6, 3}), g.Constant({3, 3, 3, 4})},
                             {{"strides", Dims{1, 1, 1, 1}}, {"padding", "SAME"}});
  g.Fetch(x);
  g.Fetch(g.Op("Relu", {g.Op("BiasAdd", {x, g.Constant({4})})}));
  EXPECT_EQ(Fused(g).ops, (Ops{{"Conv2D", 1}, {"_SavedmodelArithmetic", 1}}));
}

}  // namespace
}  // namespace savedmodel::testing
