// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/passes/linear.h"

#include <algorithm>
#include <cmath>

#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

bool IsChannelsLast(const tf::NodeDef& node) {
  const std::string format = StringAttribute(node, "data_format");
  return format.empty() || format == "NHWC";
}

bool IsLinear(const Rewriter& graph, const tf::NodeDef& node) {
  const bool known = node.op() == "Conv2D" || node.op() == "DepthwiseConv2dNative" || node.op() == "MatMul";
  return known && graph.Type(node) == tf::DT_FLOAT && IsChannelsLast(node);
}

std::string StringAttribute(const tf::NodeDef& node, const char* name) {
  const auto found = node.attr().find(name);
  return found == node.attr().end() ? std::string() : found->second.s();
}

std::vector<std::int64_t> SpatialAttribute(const tf::NodeDef& node, const char* name) {
  const auto found = node.attr().find(name);
  if (found == node.attr().end() || found->second.list().i_size() != 4) return {1, 1, 1, 1};
  return {found->second.list().i().begin(), found->second.list().i().end()};
}

std::int64_t Channels(const tf::NodeDef& linear, const tf::Tensor& weights) {
  if (linear.op() == "MatMul") {
    const auto transposed = linear.attr().find("transpose_b");
    return weights.dim_size(transposed != linear.attr().end() && transposed->second.b() ? 0 : 1);
  }
  return linear.op() == "Conv2D" ? weights.dim_size(3) : weights.dim_size(2) * weights.dim_size(3);
}

tf::Tensor Scaled(const tf::NodeDef& linear, const tf::Tensor& weights, const std::vector<double>& scale) {
  tf::Tensor result(tf::DT_FLOAT, weights.shape());
  const auto channels = static_cast<std::int64_t>(scale.size());
  const std::int64_t count = weights.NumElements();
  const auto transposed = linear.attr().find("transpose_b");
  const bool first = transposed != linear.attr().end() && transposed->second.b();
  const float* from = weights.flat<float>().data();
  float* to = result.flat<float>().data();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t channel = first ? i / (count / channels) : i % channels;
    to[i] = static_cast<float>(from[i] * scale[static_cast<std::size_t>(channel)]);
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
  if (node.op() != "FusedBatchNorm" && node.op() != "FusedBatchNormV2" && node.op() != "FusedBatchNormV3")
    return false;
  const auto training = node.attr().find("is_training");
  const auto epsilon = node.attr().find("epsilon");
  if (training == node.attr().end() || training->second.b() || graph->Type(node) != tf::DT_FLOAT ||
      !IsChannelsLast(node))
    return false;
  for (const Rewriter::Reader& reader : graph->Readers(node)) {
    if (TensorId(reader.node->input(reader.input)).output > 0) return false;
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
    const double more = epsilon == node.attr().end() ? 1e-4 : static_cast<double>(epsilon->second.f());
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
