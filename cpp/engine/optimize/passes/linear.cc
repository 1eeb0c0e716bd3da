// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/linear.h"

#include <algorithm>
#include <cmath>

#include "engine/optimize/match/match.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

namespace {

constexpr char kTransposed[] = "Conv2DBackpropInput";

}  // namespace

bool IsLinear(const Rewriter& graph, const tf::NodeDef& node) {
  return IsOneOf(node.op(), {"Conv2D", "DepthwiseConv2dNative", "MatMul"}) &&
         graph.Type(node) == tf::DT_FLOAT && IsChannelsLast(node);
}

bool IsAnyLinear(const tf::NodeDef& node, Rewriter* graph) {
  if (IsLinear(*graph, node)) return true;
  if (graph->Type(node) != tf::DT_FLOAT || !IsChannelsLast(node)) return false;
  if (node.op() == "Conv3D") return true;
  if (node.op() != kTransposed) return false;
  const tf::Tensor* weights = graph->Constant(node, 1);  // of one group
  const tf::PartialTensorShape image = graph->Shape(node.name());
  return weights != nullptr && weights->dims() == 4 && image.dims() == 4 &&
         image.dim_size(3) == weights->dim_size(2);
}

tf::PartialTensorShape ConvolutionWeights(const Rewriter& graph, const tf::NodeDef& convolution) {
  if (graph.Type(convolution) != tf::DT_FLOAT || !IsChannelsLast(convolution)) return {};
  const tf::NodeDef* weights = ConstantNode(graph, convolution, 1);
  const tf::PartialTensorShape shape =
      weights == nullptr ? tf::PartialTensorShape() : ConstantShape(*weights);
  return shape.dims() == 4 && shape.num_elements() > 0 ? shape : tf::PartialTensorShape();
}

bool IsOneGroup(const tf::NodeDef& convolution, const tf::PartialTensorShape& weights, Rewriter* graph) {
  const tf::PartialTensorShape image = graph->Shape(convolution.input(0));
  return image.dims() == 4 && image.dim_size(3) == weights.dim_size(2);
}

bool AreOnes(const tf::NodeDef& node, const char* attribute) {
  const auto& values = Attr(node, attribute).list().i();
  return std::all_of(values.begin(), values.end(), [](std::int64_t value) { return value == 1; });
}

std::vector<std::int64_t> SpatialAttribute(const tf::NodeDef& node, const char* name) {
  const auto& values = Attr(node, name).list().i();
  if (values.size() != 4) return {1, 1, 1, 1};
  return {values.begin(), values.end()};
}

std::int64_t Channels(const tf::NodeDef& linear, const tf::Tensor& weights) {
  if (linear.op() == "MatMul") return weights.dim_size(Attr(linear, "transpose_b").b() ? 0 : 1);
  if (linear.op() == "DepthwiseConv2dNative") return weights.dim_size(2) * weights.dim_size(3);
  return weights.dim_size(linear.op() == kTransposed ? 2 : weights.dims() - 1);
}

tf::Tensor Scaled(const tf::NodeDef& linear, const tf::Tensor& weights, const std::vector<double>& scale) {
  tf::Tensor result(tf::DT_FLOAT, weights.shape());
  const auto channels = static_cast<std::int64_t>(scale.size());
  const std::int64_t count = weights.NumElements();
  // How many weights of a channel stand one after the other.
  const std::int64_t each = Attr(linear, "transpose_b").b() ? count / channels
                            : linear.op() == kTransposed    ? weights.dim_size(3)
                                                            : 1;
  const float* from = weights.flat<float>().data();
  float* to = result.flat<float>().data();
  for (std::int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<float>(from[i] * scale[static_cast<std::size_t>(i / each % channels)]);
  }
  return result;
}

bool PerChannel(const tf::Tensor& constant, int rank, std::int64_t channels, std::vector<double>* values) {
  if (constant.dtype() != tf::DT_FLOAT || constant.dims() > rank || channels == 0) return false;
  const auto data = constant.flat<float>();
  if (constant.NumElements() == 1) {
    values->assign(static_cast<std::size_t>(channels), data(0));
    return true;
  }
  if (constant.NumElements() != channels || constant.dim_size(constant.dims() - 1) != channels) return false;
  values->assign(data.data(), data.data() + channels);
  return true;
}

tf::Tensor FloatVector(const std::vector<double>& values) {
  tf::Tensor result(tf::DT_FLOAT, tf::TensorShape({static_cast<std::int64_t>(values.size())}));
  std::transform(values.begin(), values.end(), result.flat<float>().data(),
                 [](double value) { return static_cast<float>(value); });
  return result;
}

bool AllFinite(const tf::Tensor& values) {
  const float* data = values.flat<float>().data();
  return std::all_of(data, data + values.NumElements(), [](float value) { return std::isfinite(value); });
}

bool IsConstantBatchNorm(const tf::NodeDef& node, Rewriter* graph, std::vector<double>* scale,
                         std::vector<double>* shift) {
  if (!IsOneOf(node.op(), {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})) return false;
  const tf::AttrValue *training = FindAttr(node, "is_training"), *epsilon = FindAttr(node, "epsilon");
  if (training == nullptr || training->b() || graph->Type(node) != tf::DT_FLOAT || !IsChannelsLast(node))
    return false;
  for (const Rewriter::Reader& reader : graph->Readers(node)) {
    if (TensorRef(reader.node->input(reader.input)).index > 0) return false;
  }
  std::vector<double> values[4];  // scale, offset, mean, variance
  for (int i = 0; i < 4; ++i) {
    const tf::Tensor* constant = graph->Constant(node, i + 1);
    if (constant == nullptr || constant->dims() != 1) return false;
    if (!PerChannel(*constant, 1, constant->dim_size(0), &values[i])) return false;
    if (values[i].size() != values[0].size()) return false;
  }
  scale->clear();
  shift->clear();
  for (std::size_t i = 0; i < values[0].size(); ++i) {
    const double more = epsilon == nullptr ? 1e-4 : static_cast<double>(epsilon->f());
    scale->push_back(values[0][i] / std::sqrt(values[3][i] + more));
    shift->push_back(values[1][i] - values[2][i] * scale->back());
  }
  return true;
}

void BecomeBiasAdd(tf::NodeDef* node, const std::string& input, const tf::Tensor& bias, Rewriter* graph) {
  const tf::NodeDef* constant = graph->AddConstant(node->name() + "/bias", bias);
  graph->Become(node, "BiasAdd", {input, constant->name()});
  (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
  (*node->mutable_attr())["data_format"].set_s("NHWC");
}

}  // namespace savedmodel::engine
