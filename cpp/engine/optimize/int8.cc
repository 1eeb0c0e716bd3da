// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/int8.h"

#include "absl/strings/str_cat.h"
#include "engine/graph/attributes.h"
#include "engine/graph/rewriter.h"
#include "engine/kernels/gemm.h"
#include "engine/ops/attributes.h"
#include "engine/ops/bottleneck.h"
#include "engine/ops/dense.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// The inputs that are weights of products.
std::vector<int> WeightsOf(const tf::NodeDef& node) {
  if (node.op() == kDenseOp) return {1};
  if (node.op() != kBottleneckOp) return {};
  const int expand = static_cast<int>(Attr(node, "num_expand").i());
  const int project = static_cast<int>(Attr(node, "num_project").i());
  std::vector<int> inputs;
  if (expand > 0) inputs.push_back(1);
  if (project > 0) inputs.push_back(3 + expand);
  return inputs;
}

// Empty if int8 is right for this product, and faster.
std::string WhyNot(const tf::Tensor* weights, bool transposed) {
  if (weights == nullptr || weights->dims() < 2) return "its weights are not constant";
  const std::int64_t columns = weights->dim_size(transposed ? 0 : weights->dims() - 1);
  const std::int64_t depth = columns == 0 ? 0 : weights->NumElements() / columns;
  if (!Int8Pays(depth, columns)) return absl::StrCat("its product is small (", depth, " x ", columns, ")");
  const auto* data = static_cast<const float*>(weights->data());
  return AllFinite(data, weights->NumElements()) ? "" : "a weight is infinite or no number";
}

}  // namespace

int UseInt8(ConstantPool* pool, IsolatedGraph* isolated, std::vector<std::string>* notes) {
  Rewriter rewriter(&isolated->graph, pool);
  int count = 0;
  for (tf::NodeDef& node : *isolated->graph.mutable_node()) {
    std::string why_not;
    const std::vector<int> inputs = WeightsOf(node);
    for (const int input : inputs) {
      if (why_not.empty()) why_not = WhyNot(rewriter.Constant(node, input), Attr(node, "transpose_b").b());
    }
    if (inputs.empty()) continue;
    if (!why_not.empty()) {
      notes->push_back("'" + node.name() + "' stays float32: " + why_not);
      continue;
    }
    (*node.mutable_attr())[kPrecision].set_s(kInt8);
    count += static_cast<int>(inputs.size());
  }
  return count;
}

}  // namespace savedmodel::engine
