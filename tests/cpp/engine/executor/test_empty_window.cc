// SPDX-License-Identifier: Apache-2.0
// Shapes of results that no window of a convolution fits into, as TensorFlow's other kernels have them.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/executor/empty_window.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Dims;

tf::NodeDef Node(const std::string& op, const std::vector<testing::Attribute>& attributes) {
  tf::NodeDef node;
  node.set_name("node");
  node.set_op(op);
  for (const testing::Attribute& attribute : attributes) {
    (*node.mutable_attr())[attribute.name] = attribute.value;
  }
  return node;
}

std::optional<tf::TensorShape> Result(const tf::NodeDef& node, const Dims& image, const Dims& weights) {
  const auto window = EmptyWindow::Of(node);
  if (window == nullptr) return {};
  tf::Tensor tensors[] = {tf::Tensor(tf::DT_FLOAT, tf::TensorShape(image)),
                          tf::Tensor(tf::DT_FLOAT, tf::TensorShape(weights))};
  const std::vector<tf::TensorValue> inputs{tf::TensorValue(&tensors[0]), tf::TensorValue(&tensors[1])};
  return window->Result(inputs);
}

tf::NodeDef Convolution(const std::string& op, const char* format = "NHWC", const char* padding = "VALID") {
  return Node(op, {{"padding", padding},
                   {"data_format", format},
                   {"strides", Dims{1, 1, 1, 1}},
                   {"dilations", Dims{1, 1, 1, 1}}});
}

TEST(EmptyWindow, IsForOneDnnsConvolutionsAndPools) {
  EXPECT_EQ(EmptyWindow::Of(Convolution("Conv2D")), nullptr);
  EXPECT_EQ(EmptyWindow::Of(Convolution("_MklNativeMatMul")), nullptr);
  EXPECT_EQ(EmptyWindow::Of(Convolution("_MklNativeConv2DBackpropInput")), nullptr);
  EXPECT_EQ(EmptyWindow::Of(Convolution("_MklNativeConv2D", "NHWC", "SAME")), nullptr);  // it has a result
  EXPECT_NE(EmptyWindow::Of(Convolution("_MklNativeConv2D")), nullptr);
  EXPECT_NE(EmptyWindow::Of(Convolution("_MklNativeMaxPool")), nullptr);
}

TEST(EmptyWindow, HasTheShapeOfTheResult) {
  const Dims weights{4, 4, 3, 5};
  EXPECT_EQ(Result(Convolution("_MklNativeConv2D"), {2, 3, 6, 3}, weights), tf::TensorShape({2, 0, 3, 5}));
  EXPECT_EQ(Result(Convolution("_MklNativeFusedConv2D"), {2, 9, 3, 3}, weights),
            tf::TensorShape({2, 6, 0, 5}));
  EXPECT_EQ(Result(Convolution("_MklNativeDepthwiseConv2dNative"), {2, 3, 3, 3}, weights),
            tf::TensorShape({2, 0, 0, 15}));
  EXPECT_EQ(Result(Convolution("_MklNativeConv2D", "NCHW"), {2, 3, 3, 6}, weights),
            tf::TensorShape({2, 5, 0, 3}));
}

TEST(EmptyWindow, LeavesTheRestToTheKernel) {
  const Dims weights{4, 4, 3, 5};
  const tf::NodeDef node = Convolution("_MklNativeConv2D");
  EXPECT_EQ(Result(node, {2, 4, 6, 3}, weights), std::nullopt);  // it fits
  EXPECT_EQ(Result(node, {2, 1, 6, 3}, weights), std::nullopt);  // TensorFlow reports an error
  EXPECT_EQ(Result(node, {0, 4, 6, 3}, weights), std::nullopt);  // no image
  EXPECT_EQ(Result(node, {2, 4}, weights), std::nullopt);
  const tf::NodeDef pool = Node("_MklNativeMaxPool", {{"padding", "VALID"},
                                                      {"data_format", "NHWC"},
                                                      {"strides", Dims{1, 2, 2, 1}},
                                                      {"ksize", Dims{1, 2, 2, 1}}});
  EXPECT_EQ(Result(pool, {1, 2, 2, 3}, {1}), std::nullopt);
}

TEST(EmptyWindow, CountsStridesDilationsAndPaddings) {
  tf::NodeDef node = Convolution("_MklNativeConv2D", "NHWC", "EXPLICIT");
  const Dims weights{2, 2, 3, 5};
  testing::Attribute paddings("explicit_paddings", Dims{0, 0, 1, 0, 0, 0, 0, 0});
  (*node.mutable_attr())["explicit_paddings"] = paddings.value;
  EXPECT_EQ(Result(node, {2, 1, 1, 3}, weights), tf::TensorShape({2, 1, 0, 5}));
  node = Convolution("_MklNativeConv2D");
  (*node.mutable_attr())["dilations"] = testing::Attribute("dilations", Dims{1, 3, 1, 1}).value;
  EXPECT_EQ(Result(node, {2, 3, 2, 3}, weights), tf::TensorShape({2, 0, 1, 5}));
  (*node.mutable_attr())["strides"] = testing::Attribute("strides", Dims{1, 2, 2, 1}).value;
  EXPECT_EQ(Result(node, {2, 2, 2, 3}, weights), tf::TensorShape({2, 0, 1, 5}));
}

}  // namespace
}  // namespace savedmodel::engine
