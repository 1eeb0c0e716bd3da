// SPDX-License-Identifier: Apache-2.0
// Scaled dot-product attention (float32):
//
// | what              | is                                                                         |
// |-------------------|----------------------------------------------------------------------------|
// | query, key, value | of four dimensions, with any Transposes; query and key times a constant    |
// | scores            | BatchMatMul(V2), or Einsum: [sample, head, query, key], times a constant   |
// | weights           | Softmax([AddV2 or Add of a mask to] the scores), read by nobody else       |
// | result            | BatchMatMul(V2) [-> Transpose {0, 2, 1, 3}], or Einsum of weights and value |
//
// becomes _SavedmodelAttention(query, key, value[, mask]), if sample comes first and depth last in all of
// them.
#include "engine/ops/attention.h"

#include <string>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

const std::initializer_list<const char*> kProducts = {"BatchMatMulV2", "BatchMatMul", "Einsum"};

// Letters of axes: b sample, n head, t query, s key, d depth.
struct Operand {
  std::string tensor;
  std::string axes;
  double scale = 1;

  bool IsRows(char position) const {
    return axes == std::string{'b', 'n', position, 'd'} || axes == std::string{'b', position, 'n', 'd'};
  }
  bool heads_first() const { return axes[1] == 'n'; }
};

struct Scores {
  Operand query, key;
  bool broadcasts = false;  // samples and heads
  double scale = 1;
};

// Of samples and of heads one serves all; other products want as many on both sides.
bool Broadcasts(const tf::NodeDef& product) { return product.op() == "BatchMatMulV2"; }

// Of a Transpose, by axis of the result; empty if it is not constant.
std::vector<std::size_t> Permutation(Rewriter* graph, const tf::NodeDef& transpose) {
  const auto axes = Integers(graph->Constant(transpose, 1));
  std::vector<std::size_t> result;
  if (!axes || axes->size() != 4) return result;
  for (const std::int64_t axis : *axes) {
    if (axis < -4 || axis > 3) return {};
    result.push_back(static_cast<std::size_t>(axis < 0 ? axis + 4 : axis));
  }
  return result;
}

// Goes up through Transposes and, if `scales`, products with a constant.
void Follow(Rewriter* graph, bool scales, Operand* operand) {
  const auto x = Any(), scaled = Scaled(x);
  const auto transpose = Op({"Transpose"}, {x}).where([graph](const tf::NodeDef& node) {
    return !Permutation(graph, node).empty();
  });
  const auto step = scales ? Either({transpose, scaled}) : transpose;
  Match match(graph);
  while (true) {
    const TensorRef tensor(operand->tensor);
    if (!match.Find(step, {graph->Find(tensor.node), tensor.index}) || match.inside().empty()) return;
    if (match[transpose].known()) {
      const std::vector<std::size_t> permutation = Permutation(graph, match.Node(transpose));
      std::string axes(4, '?');
      for (std::size_t i = 0; i < 4; ++i) axes[permutation[i]] = operand->axes[i];
      operand->axes = axes;
    } else {
      operand->scale *= match.Number(scaled);
    }
    operand->tensor = match.Name(x);
  }
}

// The axes of both inputs and of the result, of four letters each; false for any other equation.
bool ParseEquation(const tf::NodeDef& einsum, std::string (&terms)[3]) {
  const std::string& equation = Attr(einsum, "equation").s();
  if (CountDataInputs(einsum) != 2) return false;
  if (equation.size() != 15 || equation[4] != ',' || equation.compare(9, 2, "->") != 0) return false;
  terms[0] = equation.substr(0, 4);
  terms[1] = equation.substr(5, 4);
  terms[2] = equation.substr(11, 4);
  return true;
}

// Each letter of `term` becomes the one at its place in `to`; letters that are not in `from` become d.
std::string Renamed(const std::string& term, const std::string& from, const std::string& to) {
  std::string result;
  for (const char letter : term) {
    const std::size_t at = from.find(letter);
    result += at == std::string::npos ? 'd' : to[at];
  }
  return result;
}

bool HasFourDimensions(Rewriter* graph, const Operand& operand) {
  return graph->Shape(operand.tensor).dims() == 4;
}

bool MatchScores(Rewriter* graph, const tf::NodeDef& product, Scores* scores) {
  Operand first{product.input(0), "bntd"}, second{product.input(1), "bnsd"};
  if (product.op() == "Einsum") {
    std::string terms[3];
    if (!ParseEquation(product, terms)) return false;
    first.axes = Renamed(terms[0], terms[2], "bnts");
    second.axes = Renamed(terms[1], terms[2], "bnts");
    if (first.axes.find('s') != std::string::npos) std::swap(first, second);
    // The letter of depth must be one and the same.
    for (const char letter : terms[0]) {
      if (terms[2].find(letter) == std::string::npos && terms[1].find(letter) == std::string::npos)
        return false;
    }
  } else {
    if (Attr(product, "adj_x").b()) return false;
    if (!Attr(product, "adj_y").b()) second.axes = "bnds";
  }
  Follow(graph, true, &first);
  Follow(graph, true, &second);
  *scores = {first, second, Broadcasts(product), first.scale * second.scale};
  return first.IsRows('t') && second.IsRows('s') && HasFourDimensions(graph, first) &&
         HasFourDimensions(graph, second);
}

// Matches the product of attention weights (input `weights` of `product`) and values.
bool MatchResult(Rewriter* graph, const tf::NodeDef& product, int weights, Operand* value, Operand* result) {
  *value = {product.input(1 - weights), "bnsd"};
  *result = {product.name(), "bntd"};
  if (product.op() == "Einsum") {
    std::string terms[3];
    if (!ParseEquation(product, terms)) return false;
    const std::string &of_weights = terms[weights], &of_value = terms[1 - weights];
    value->axes = Renamed(of_value, of_weights, "bnts");
    result->axes = Renamed(terms[2], of_weights, "bnts");
    const std::size_t depth = value->axes.find('d');
    // A letter of the result that is neither the weights' nor the value's would be read as depth.
    if (depth == std::string::npos || terms[2].find(of_value[depth]) == std::string::npos) return false;
  } else if (weights != 0 || Attr(product, "adj_x").b() || Attr(product, "adj_y").b()) {
    return false;
  }
  Follow(graph, false, value);
  return value->IsRows('s') && HasFourDimensions(graph, *value) && result->IsRows('t');
}

// The Transpose that alone reads a result with heads first, and puts positions there.
tf::NodeDef* HeadsBehind(Rewriter* graph, const tf::NodeDef& product) {
  tf::NodeDef* reader = graph->OnlyReader(product);
  if (!IsPlain(*graph, reader, "Transpose") || reader->input(0) != product.name()) return nullptr;
  return Permutation(graph, *reader) == std::vector<std::size_t>{0, 2, 1, 3} ? reader : nullptr;
}

// The product of attention weights, its input `weights`, and values.
bool Fuse(Rewriter* graph, tf::NodeDef* product, int weights) {
  Operand value, result;
  const tf::NodeDef* found = graph->Input(*product, weights, "Softmax");
  if (found == nullptr || !MatchResult(graph, *product, weights, &value, &result)) return false;
  Scores scores;
  const auto match_scores = [&](const tf::NodeDef& node) { return MatchScores(graph, node, &scores); };
  const auto mask = Any(), logits = Scaled(Op(kProducts).where(match_scores).once()).once();
  Match match(graph);
  if (!match.Find(Softmax(Either({logits, Sum(mask, logits).once()})).once(), *found)) return false;
  const std::string mask_name = match.Name(mask);
  const int rank = mask_name.empty() ? 1 : graph->Shape(mask_name).dims();
  if (rank < 1 || rank > 4) return false;
  const bool broadcasts_values = Broadcasts(*product);
  tf::NodeDef* root = product;
  bool heads_first = result.heads_first();
  if (tf::NodeDef* transpose = heads_first ? HeadsBehind(graph, *product) : nullptr; transpose != nullptr) {
    root = transpose;
    heads_first = false;
  }
  AttentionSpec spec{scores.query.tensor, scores.key.tensor, value.tensor, mask_name};
  spec.scale = static_cast<float>(scores.scale * match.Number(logits));
  spec.heads_first = {scores.query.heads_first(), scores.key.heads_first(), value.heads_first(), heads_first};
  spec.broadcasts = {scores.broadcasts, broadcasts_values};
  graph->Become(root, AttentionNode(spec));
  return true;
}

}  // namespace

int FuseAttention(Rewriter* graph) {
  return CountReplaced(graph, kProducts, [graph](tf::NodeDef* product) {
    return IsPlain(*graph, product, product->op().c_str()) &&
           (Fuse(graph, product, 0) || Fuse(graph, product, 1));
  });
}

}  // namespace savedmodel::engine
