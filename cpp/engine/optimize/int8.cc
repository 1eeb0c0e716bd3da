// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/int8.h"

#include <unordered_set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/graph/attributes.h"
#include "engine/graph/graph.h"
#include "engine/graph/rewriter.h"
#include "engine/kernels/gemm.h"
#include "engine/ops/attributes.h"
#include "engine/ops/bottleneck.h"
#include "engine/ops/dense.h"
#include "engine/ops/grouped.h"
#include "engine/ops/winograd.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Copying windows of fewer channels takes longer than int8 saves.
constexpr std::int64_t kMinChannels = 32;

// The inputs that are weights of products.
std::vector<int> WeightsOf(const tf::NodeDef& node) {
  if (node.op() != kBottleneckOp) return {1};
  const int expand = static_cast<int>(Attr(node, "num_expand").i());
  std::vector<int> inputs;
  if (expand > 0) inputs.push_back(1);
  if (Attr(node, "num_project").i() > 0) inputs.push_back(3 + expand);
  return inputs;
}

class Int8 {
 public:
  Int8(const std::set<std::string>& float32_layers, ConstantPool* pool, IsolatedGraph* isolated,
       OptimizationReport* report)
      : float32_layers_(float32_layers),
        graph_(&isolated->graph, pool),
        isolated_(isolated),
        report_(report) {}

  int Run() {
    const auto pays = [this](const tf::NodeDef& node) { return WhyNot(node).empty(); };
    ReplaceConvolutions(&graph_, [&](const tf::NodeDef& node) { return IsWide(node) && pays(node); });
    int count = 0;
    for (tf::NodeDef& node : *isolated_->graph.mutable_node()) {
      const std::string& op = node.op();
      const bool is_ours = op == kDenseOp || op == kBottleneckOp || op == kWinogradOp;
      if (!is_ours && (op != kGroupedOp || !IsWide(node))) continue;
      if (const std::string why_not = WhyNot(node); !why_not.empty()) {
        report_->notes.push_back("'" + node.name() + "' stays float32: " + why_not);
        continue;
      }
      if (op == kWinogradOp) BecomeDirect(&node);
      (*node.mutable_attr())[kPrecision].set_s(kInt8);
      report_->int8_layers.push_back(node.name());
      count += static_cast<int>(WeightsOf(node).size());
    }
    std::unordered_set<std::string> fetches;
    for (const std::string& tensor : isolated_->fetches) fetches.insert(TensorRef(tensor).node);
    graph_.RemoveUnread(fetches);
    graph_.Finish();
    return count;
  }

 private:
  // A convolution of one group whose windows are worth copying.
  bool IsWide(const tf::NodeDef& node) {
    const tf::Tensor* weights = graph_.Constant(node, 1);
    return weights != nullptr && weights->dims() == 4 && weights->dim_size(2) >= kMinChannels &&
           IsOneGroup(node, weights->shape(), &graph_);
  }

  // Empty if int8 is right for this layer, and faster.
  std::string WhyNot(const tf::NodeDef& node) {
    if (float32_layers_.count(node.name()) > 0) return "as asked";
    for (const int input : WeightsOf(node)) {
      const tf::Tensor* weights = graph_.Constant(node, input);
      if (weights == nullptr || weights->dims() < 2) return "its weights are not constant";
      const bool transposed = Attr(node, "transpose_b").b();
      const std::int64_t columns = weights->dim_size(transposed ? 0 : weights->dims() - 1);
      const std::int64_t depth = columns == 0 ? 0 : weights->NumElements() / columns;
      if (!Int8Pays(depth, columns, node.op() == kWinogradOp))
        return absl::StrCat("int8 is not faster for its product (", depth, " x ", columns, ")");
      if (!AllFinite(static_cast<const float*>(weights->data()), weights->NumElements()))
        return "a weight is infinite or no number";
    }
    return "";
  }

  // Winograd's transforms would enlarge the error of rounding.
  static void BecomeDirect(tf::NodeDef* node) {
    node->set_op(kGroupedOp);
    auto* strides = (*node->mutable_attr())["strides"].mutable_list();
    strides->clear_i();
    for (int axis = 0; axis < 4; ++axis) strides->add_i(1);
  }

  const std::set<std::string>& float32_layers_;
  Rewriter graph_;
  IsolatedGraph* const isolated_;
  OptimizationReport* const report_;
};

}  // namespace

int UseInt8(const std::set<std::string>& float32_layers, ConstantPool* pool, IsolatedGraph* isolated,
            OptimizationReport* report) {
  return Int8(float32_layers, pool, isolated, report).Run();
}

}  // namespace savedmodel::engine
