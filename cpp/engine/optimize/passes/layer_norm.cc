// SPDX-License-Identifier: Apache-2.0
// m = Mean(x, last axis), v = Mean(SquaredDifference(x, m)) or Mean((x - m)^2), r = Rsqrt(v + epsilon); gamma
// and beta are constant rows.
// | exported by         | pattern                                      | becomes                         |
// |---------------------|----------------------------------------------|---------------------------------|
// | Keras 3             | x * (r * gamma) + (-m * (r * gamma) + beta)  | _SavedmodelLayerNorm            |
// | tf.nn, Keras 2      | x * (r * gamma) + (beta - m * (r * gamma))   | _SavedmodelLayerNorm            |
// | by hand             | (x - m) * r * gamma + beta                   | _SavedmodelLayerNorm            |
// | by hand             | (x - m) / Sqrt(v + epsilon) * gamma + beta   | _SavedmodelLayerNorm            |
#include "engine/optimize/passes/layer_norm.h"

#include <vector>

#include "engine/ops/layer_norm.h"
#include "engine/optimize/passes/match.h"
#include "engine/optimize/passes/moments.h"
#include "engine/optimize/passes/pattern.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

class Match {
 public:
  Match(Rewriter* graph, tf::NodeDef* root) : graph_(graph), root_(root), pattern_(graph, root) {}

  bool Rewrite() {
    if (!FindScaled(0) && !FindCentred(0) && !FindScaled(1) && !FindCentred(1)) return false;
    if (!IsRowwise() || !pattern_.IsAlone()) return false;
    graph_->Become(root_, LayerNormNode(moments_.x, FlatConstant(graph_, *gamma_, root_->name() + "/gamma"),
                                        FlatConstant(graph_, *beta_, root_->name() + "/beta"),
                                        static_cast<float>(moments_.epsilon)));
    return true;
  }

 private:
  void Clear() {
    pattern_.Clear();
    moments_ = {graph_, &pattern_, "", ""};
    gamma_ = beta_ = nullptr;
    variance_.clear();
  }
  bool Take(const tf::NodeDef& node, int input, const tf::NodeDef** row) {
    *row = FloatConstant(*graph_, node, input);
    return *row != nullptr;
  }
  // Which input it was, or -1.
  int TakeEither(const tf::NodeDef& node, const tf::NodeDef** row) {
    return Take(node, 1, row) ? 1 : Take(node, 0, row) ? 0 : -1;
  }

  // x * scale + (beta - m * scale)
  bool FindScaled(int side) {
    Clear();
    const tf::NodeDef* product = pattern_.Node(root_->input(side), "Mul");
    if (product == nullptr) return false;
    for (int i = 0; i < 2; ++i) {
      moments_.x = product->input(i);
      const tf::NodeDef* scale = pattern_.Node(product->input(1 - i), "Mul");
      const int gamma = scale == nullptr ? -1 : TakeEither(*scale, &gamma_);
      if (gamma >= 0 && FindShift(root_->input(1 - side), product->input(1 - i)) && moments_.IsMean()) {
        return moments_.IsInverse(scale->input(1 - gamma));
      }
    }
    return false;
  }
  bool FindShift(const std::string& tensor, const std::string& scale) {
    std::string product;
    double sign = -1;
    if (const tf::NodeDef* difference = pattern_.Node(tensor, "Sub"); difference != nullptr) {
      if (!Take(*difference, 0, &beta_)) return false;
      product = difference->input(1);
      sign = 1;
    } else {
      const tf::NodeDef* sum = pattern_.Sum(tensor);
      const int beta = sum == nullptr ? -1 : TakeEither(*sum, &beta_);
      if (beta < 0) return false;
      product = sum->input(1 - beta);
    }
    Product factors = Factors(graph_, product);
    pattern_.Include(factors.nodes);
    if (factors.scale != sign || !factors.Take(scale) || factors.tensors.size() != 1) return false;
    moments_.mean = pattern_.Source(factors.tensors[0]);
    return true;
  }

  // (x - m) * r * gamma + beta
  bool FindCentred(int side) {
    Clear();
    std::vector<std::string> factors;
    if (!Take(*root_, 1 - side, &beta_) || !Split(root_->input(side), &factors)) return false;
    if (gamma_ == nullptr || factors.size() != (variance_.empty() ? 2U : 1U)) return false;
    for (const std::string& factor : factors) {
      const tf::NodeDef* off = pattern_.Node(factor, "Sub");
      if (off == nullptr) continue;
      moments_.x = off->input(0);
      moments_.mean = pattern_.Source(off->input(1));
      if (!moments_.IsMean()) return false;
      return variance_.empty() ? moments_.IsInverse(factors[&factor == &factors[0] ? 1 : 0])
                               : moments_.IsVariance(variance_);
    }
    return false;
  }
  bool Split(const std::string& tensor, std::vector<std::string>* factors) {
    if (const tf::NodeDef* product = pattern_.Node(tensor, "Mul"); product != nullptr) {
      for (int i = 0; i < 2; ++i) {
        if (gamma_ == nullptr && Take(*product, i, &gamma_)) continue;
        if (!Split(product->input(i), factors)) return false;
      }
      return true;
    }
    if (const tf::NodeDef* quotient = pattern_.Node(tensor, "RealDiv");
        quotient != nullptr && variance_.empty()) {
      const tf::NodeDef* root = pattern_.Node(quotient->input(1), "Sqrt");
      if (root == nullptr) return false;
      variance_ = root->input(0);
      return Split(quotient->input(0), factors);
    }
    factors->push_back(tensor);
    return true;
  }

  bool IsRowwise() {
    const tf::PartialTensorShape shape = graph_->Shape(moments_.x);
    const std::int64_t columns = shape.dims() < 1 ? 0 : shape.dim_size(shape.dims() - 1);
    return columns > 0 && IsRow(ConstantShape(*gamma_), columns, shape.dims()) &&
           IsRow(ConstantShape(*beta_), columns, shape.dims());
  }

  Rewriter* graph_;
  tf::NodeDef* root_;
  Pattern pattern_;
  Moments moments_ = {};
  std::string variance_;
  const tf::NodeDef* gamma_ = nullptr;
  const tf::NodeDef* beta_ = nullptr;
};

}  // namespace

int FuseLayerNorm(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (IsSum(*graph, node)) count += Match(graph, node).Rewrite() ? 1 : 0;
  }
  return count;
}

}  // namespace savedmodel::engine
