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

#include <algorithm>
#include <vector>

#include "engine/optimize/passes/match.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

class Match {
 public:
  Match(Rewriter* graph, tf::NodeDef* root) : graph_(graph), root_(root) {}

  bool Find() {
    for (int i = 0; i < 2; ++i) {
      if (FindScaled(i) || FindCentred(i)) return IsRowwise() && IsAlone();
    }
    return false;
  }

  void Rewrite() {
    const std::string gamma = Flat(gamma_, "gamma");
    const std::string beta = Flat(beta_, "beta");
    graph_->Become(root_, "_SavedmodelLayerNorm", {x_, gamma, beta});
    (*root_->mutable_attr())["epsilon"].set_f(static_cast<float>(epsilon_));
  }

 private:
  void Clear() {
    inner_.clear();
    x_.clear();
    mean_.clear();
    gamma_ = beta_ = nullptr;
  }
  tf::NodeDef* Inner(const std::string& tensor, const char* op) {
    const TensorId id(tensor);
    tf::NodeDef* node = id.output == 0 ? graph_->Find(id.node) : nullptr;
    if (node == nullptr || node->op() != op || Rewriter::HasControlInputs(*node)) return nullptr;
    if (graph_->Type(*node) != tf::DT_FLOAT) return nullptr;
    inner_.push_back(node);
    return node;
  }
  tf::NodeDef* InnerSum(const std::string& tensor) {
    tf::NodeDef* node = Inner(tensor, "AddV2");
    return node != nullptr ? node : Inner(tensor, "Add");
  }
  bool IsConstantRow(const tf::NodeDef& node, int input, const tf::NodeDef** row) {
    const tf::NodeDef* constant = ConstantNode(*graph_, node, input);
    if (constant == nullptr || graph_->Type(*constant, "dtype") != tf::DT_FLOAT) return false;
    *row = constant;
    return true;
  }

  // Mean over the last axis; its input, or empty.
  std::string MeanOf(const std::string& tensor) {
    const tf::NodeDef* mean = Inner(tensor, "Mean");
    if (mean == nullptr || mean->attr().count("keep_dims") == 0 || !mean->attr().at("keep_dims").b())
      return "";
    const int dims = graph_->Shape(mean->input(0)).dims();
    const tf::Tensor* axes = graph_->Constant(*mean, 1);
    if (axes == nullptr || axes->NumElements() != 1 || dims < 1) return "";
    const std::int64_t axis =
        axes->dtype() == tf::DT_INT32 ? axes->flat<std::int32_t>()(0) : axes->flat<std::int64_t>()(0);
    return axis == -1 || axis == dims - 1 ? mean->input(0) : "";
  }
  std::string SkipStop(const std::string& tensor) {
    const tf::NodeDef* node = graph_->Find(TensorId(tensor).node);
    if (node == nullptr || (node->op() != "StopGradient" && node->op() != "Identity")) return tensor;
    inner_.push_back(node);
    return node->input(0);
  }
  bool IsMean(const std::string& tensor) { return SkipStop(tensor) == mean_; }
  bool IsOff(const std::string& tensor) {  // x - m
    const tf::NodeDef* off = Inner(tensor, "Sub");
    return off != nullptr && off->input(0) == x_ && IsMean(off->input(1));
  }

  // v + epsilon
  bool IsVariance(const std::string& tensor) {
    const tf::NodeDef* sum = InnerSum(tensor);
    if (sum == nullptr) return false;
    int input = 0;
    while (input < 2 && !ScalarValue(graph_, *sum, input, &epsilon_)) ++input;
    if (input == 2) return false;
    const std::string squares = MeanOf(sum->input(1 - input));
    if (squares.empty()) return false;
    if (const tf::NodeDef* difference = Inner(squares, "SquaredDifference"); difference != nullptr) {
      return (difference->input(0) == x_ && IsMean(difference->input(1))) ||
             (difference->input(1) == x_ && IsMean(difference->input(0)));
    }
    if (const tf::NodeDef* square = Inner(squares, "Square"); square != nullptr)
      return IsOff(square->input(0));
    const tf::NodeDef* square = Inner(squares, "Mul");
    return square != nullptr && square->input(0) == square->input(1) && IsOff(square->input(0));
  }
  bool IsInverse(const std::string& tensor) {
    const tf::NodeDef* inverse = Inner(tensor, "Rsqrt");
    return inverse != nullptr && IsVariance(inverse->input(0));
  }

  // x * scale + (beta - m * scale)
  bool FindScaled(int side) {
    Clear();
    const tf::NodeDef* product = Inner(root_->input(side), "Mul");
    if (product == nullptr) return false;
    for (int i = 0; i < 2; ++i) {
      x_ = product->input(i);
      const std::string scale_name = product->input(1 - i);
      const tf::NodeDef* scale = Inner(scale_name, "Mul");
      if (scale == nullptr) continue;
      const int gamma = IsConstantRow(*scale, 1, &gamma_) ? 1 : 0;
      if (!IsConstantRow(*scale, gamma, &gamma_)) continue;
      if (FindShift(root_->input(1 - side), scale_name) && MeanOf(mean_) == x_ &&
          IsInverse(scale->input(1 - gamma))) {
        return true;
      }
    }
    return false;
  }
  bool FindShift(const std::string& tensor, const std::string& scale) {
    std::string product;
    bool negative = false;
    if (const tf::NodeDef* difference = Inner(tensor, "Sub"); difference != nullptr) {
      if (!IsConstantRow(*difference, 0, &beta_)) return false;
      product = difference->input(1);
      negative = true;
    } else {
      const tf::NodeDef* sum = InnerSum(tensor);
      if (sum == nullptr) return false;
      const int beta = IsConstantRow(*sum, 1, &beta_) ? 1 : 0;
      if (!IsConstantRow(*sum, beta, &beta_)) return false;
      product = sum->input(1 - beta);
    }
    Product factors = Factors(graph_, product);
    inner_.insert(inner_.end(), factors.nodes.begin(), factors.nodes.end());
    if (factors.scale != (negative ? 1 : -1) || !factors.Take(scale) || factors.tensors.size() != 1)
      return false;
    mean_ = SkipStop(factors.tensors[0]);
    return true;
  }

  // (x - m) * r * gamma + beta
  bool FindCentred(int side) {
    Clear();
    if (!IsConstantRow(*root_, 1 - side, &beta_)) return false;
    std::vector<std::string> factors;
    bool divided = false;
    if (!Split(root_->input(side), &factors, &divided) || gamma_ == nullptr) return false;
    if (factors.size() != (divided ? 1U : 2U)) return false;
    for (const std::string& factor : factors) {
      const tf::NodeDef* off = Inner(factor, "Sub");
      if (off == nullptr) continue;
      x_ = off->input(0);
      mean_ = SkipStop(off->input(1));
      if (MeanOf(mean_) != x_) return false;
      return divided ? IsVariance(variance_) : IsInverse(factors[&factor == &factors[0] ? 1 : 0]);
    }
    return false;
  }
  bool Split(const std::string& tensor, std::vector<std::string>* factors, bool* divided) {
    if (const tf::NodeDef* product = Inner(tensor, "Mul"); product != nullptr) {
      for (int i = 0; i < 2; ++i) {
        if (gamma_ == nullptr && IsConstantRow(*product, i, &gamma_)) continue;
        if (!Split(product->input(i), factors, divided)) return false;
      }
      return true;
    }
    if (const tf::NodeDef* quotient = Inner(tensor, "RealDiv"); quotient != nullptr && !*divided) {
      const tf::NodeDef* root = Inner(quotient->input(1), "Sqrt");
      if (root == nullptr) return false;
      variance_ = root->input(0);
      *divided = true;
      return Split(quotient->input(0), factors, divided);
    }
    factors->push_back(tensor);
    return true;
  }

  bool IsRowwise() {
    const tf::PartialTensorShape shape = graph_->Shape(x_);
    if (shape.dims() < 1 || shape.dim_size(shape.dims() - 1) <= 0) return false;
    const std::int64_t columns = shape.dim_size(shape.dims() - 1);
    return IsRow(ConstantShape(*gamma_), columns, shape.dims()) &&
           IsRow(ConstantShape(*beta_), columns, shape.dims());
  }
  // What is inside is read inside: nothing is computed twice.
  bool IsAlone() const {
    for (const tf::NodeDef* node : inner_) {
      for (const Rewriter::Reader& reader : graph_->Readers(*node)) {
        if (reader.node != root_ && std::find(inner_.begin(), inner_.end(), reader.node) == inner_.end())
          return false;
      }
    }
    return true;
  }
  std::string Flat(const tf::NodeDef* constant, const char* name) {
    if (ConstantShape(*constant).dims() == 1) return constant->name();
    const tf::Tensor* value = graph_->Value(*constant);
    tf::Tensor flat;
    if (value == nullptr || !flat.CopyFrom(*value, {value->NumElements()})) return constant->name();
    return graph_->AddConstant(root_->name() + "/" + name, flat)->name();
  }

  Rewriter* graph_;
  tf::NodeDef* root_;
  std::vector<const tf::NodeDef*> inner_;
  std::string x_;
  std::string mean_;
  std::string variance_;
  double epsilon_ = 0;
  const tf::NodeDef* gamma_ = nullptr;
  const tf::NodeDef* beta_ = nullptr;
};

}  // namespace

int FuseLayerNorm(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (!IsSum(*graph, node)) continue;
    Match match(graph, node);
    if (!match.Find()) continue;
    match.Rewrite();
    ++count;
  }
  return count;
}

}  // namespace savedmodel::engine
