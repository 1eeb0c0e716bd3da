// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/graph/attributes.h"
#include "tests/cpp/nodes.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Node;

TEST(Attr, IsEmptyWhereThereIsNone) {
  tf::NodeDef node = Node("n", "Op");
  (*node.mutable_attr())["number"].set_i(3);
  EXPECT_EQ(Attr(node, "number").i(), 3);
  EXPECT_EQ(FindAttr(node, "other"), nullptr);
  EXPECT_EQ(Attr(node, "other").i(), 0);
  EXPECT_EQ(Attr(node, "other").type(), tf::DT_INVALID);
  EXPECT_EQ(Attr(node, "other").list().i_size(), 0);
}

TEST(CopyAttrs, TakesThoseThatThereAre) {
  tf::NodeDef from = Node("n", "Op"), to;
  (*from.mutable_attr())["padding"].set_s("SAME");
  (*from.mutable_attr())["other"].set_b(true);
  CopyAttrs(from, {"padding", "strides"}, &to, "inner_");
  EXPECT_EQ(to.attr_size(), 1);
  EXPECT_EQ(Attr(to, "inner_padding").s(), "SAME");
}

TEST(ChannelsLast, UnlessSaidOtherwise) {
  tf::NodeDef node = Node("n", "Conv2D");
  EXPECT_TRUE(IsChannelsLast(node));
  (*node.mutable_attr())["data_format"].set_s("NHWC");
  EXPECT_TRUE(IsChannelsLast(node));
  (*node.mutable_attr())["data_format"].set_s("NCHW");
  EXPECT_FALSE(IsChannelsLast(node));
}

TEST(ConstValue, OfSoundConstantsOnly) {
  tf::Tensor two(tf::DT_INT32, tf::TensorShape({2}));
  two.flat<std::int32_t>()(0) = 5;
  two.flat<std::int32_t>()(1) = -1;
  tf::NodeDef node = Node("n", "Const");
  EXPECT_FALSE(ConstValue(node).has_value()) << "no value";
  two.AsProtoField((*node.mutable_attr())["value"].mutable_tensor());
  const auto value = ConstValue(node);
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(Integers(&*value), (std::vector<std::int64_t>{5, -1}));
  node.set_op("Identity");
  EXPECT_FALSE(ConstValue(node).has_value());
  node.set_op("Const");
  (*node.mutable_attr())["value"].mutable_tensor()->mutable_tensor_shape()->mutable_dim(0)->set_size(-2);
  EXPECT_FALSE(ConstValue(node).has_value());
}

TEST(Integers, OfBothWidthsAndOfNothingElse) {
  tf::Tensor wide(tf::DT_INT64, tf::TensorShape({}));
  wide.scalar<std::int64_t>()() = std::int64_t{1} << 40;
  EXPECT_EQ(Integers(&wide), std::vector<std::int64_t>{std::int64_t{1} << 40});
  const tf::Tensor floats(tf::DT_FLOAT, tf::TensorShape({2}));
  EXPECT_FALSE(Integers(&floats).has_value());
  EXPECT_FALSE(Integers(nullptr).has_value());
}

}  // namespace
}  // namespace savedmodel::engine
