// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/factors.h"

#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/constants.h"
#include "engine/graph/graph_view.h"
#include "engine/optimize/match/match.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr int kSeveral = 2;

bool IsFactor(const std::string& op) {
  return IsOneOf(op, {"Div", "DivNoNan", "Mul", "MulNoNan", "RealDiv", "Xdivy"});
}

// Ops that TensorFlow's optimizer may remove, or move a factor across.
bool PassesOn(const std::string& op) {
  return IsListed(
             " Add AddN AddV2 BatchToSpaceND BiasAdd Bitcast BroadcastTo Cast CheckNumerics Concat ConcatV2"
             " Enter Exit ExpandDims Identity IdentityN Merge MirrorPad Neg Pack Pad PadV2"
             " PlaceholderWithDefault PreventGradient Reshape Reverse ReverseV2 Select SelectV2 Slice"
             " Snapshot SpaceToBatchND Split SplitV Squeeze StopGradient StridedSlice Sub Switch Tile"
             " Transpose Unpack ",
             op) ||
         op.rfind("FusedBatchNorm", 0) == 0;
}

struct Summary {
  std::string convolution;  // one that may have constant weights; empty: none
  int factors = 0;          // number of constant factors
};

class Search {
 public:
  explicit Search(const tf::GraphDef& graph) : graph_(graph), functions_(graph.library()) {}

  std::string Factors() {
    return InAny([this](Body* body) { return FactorsIn(body); });
  }
  std::string Broadcast() {
    return InAny([this](Body* body) { return BroadcastIn(body); });
  }

 private:
  struct Body {
    GraphView view;
    bool is_function;
    // For functions' arguments taken as constant, and as not.
    std::unordered_map<const tf::NodeDef*, bool> constant[2] = {};
    bool shapes = true;  // whether shapes count as constant
  };

  // For an op with data inputs: true if it is constant when they are.
  static bool DependsOnInputs(const tf::NodeDef& node) {
    const tf::OpDef* op = FindOp(node.op());
    if (op == nullptr) return true;  // a function
    return !op->is_stateful() && node.op() != "NextIteration";
  }

  // True if the node may become a constant; `given`: arguments of functions count as constant.
  static bool MayBeConstant(Body* body, const tf::NodeDef& node, bool given = true) {
    auto& constant = body->constant[given ? 0 : 1];
    std::vector<std::pair<const tf::NodeDef*, int>> pending{{&node, 0}};
    while (!pending.empty()) {
      auto& [current, input] = pending.back();
      bool& value = constant[current];
      if (input == 0) {
        const std::string& op = current->op();
        // No, until proven otherwise: a loop leads back here.
        value = op == "Const" || (body->shapes && IsOneOf(op, {"Shape", "ShapeN", "Size", "Rank"}));
        const bool inputs = current->input_size() > 0 && !IsControl(current->input(0));
        if (value || !inputs || op == kPooledConstantOp || !DependsOnInputs(*current)) {
          pending.pop_back();
          continue;
        }
      }
      if (input == current->input_size() || IsControl(current->input(input))) {
        value = true;
        pending.pop_back();
        continue;
      }
      const tf::NodeDef* source = body->view.Source(current->input(input));
      const auto known = constant.find(source);
      if (source != nullptr && known == constant.end()) {
        pending.emplace_back(source, 0);
      } else if (source == nullptr ? body->is_function && given : known->second) {
        ++input;
      } else {
        pending.pop_back();
      }
    }
    return constant[&node];
  }

  // Looks at inputs from number `first` on.
  static bool HasConstantInput(Body* body, const tf::NodeDef& node, int first) {
    for (int i = first; i < CountDataInputs(node); ++i) {
      const tf::NodeDef* source = body->view.Source(node.input(i));
      if (source == nullptr ? body->is_function : MayBeConstant(body, *source)) return true;
    }
    return false;
  }

  // An argument of a function is no constant image.
  static bool IsConstantImage(Body* body, const tf::NodeDef& convolution) {
    const tf::NodeDef* source =
        convolution.input_size() > 0 ? body->view.Source(convolution.input(0)) : nullptr;
    return source != nullptr && MayBeConstant(body, *source, false);
  }

  // Includes everything that the function calls.
  const Summary& Summarize(const tf::FunctionDef& function) {
    const auto [entry, fresh] = summaries_.try_emplace(function.signature().name());
    if (!fresh) return entry->second;
    Summary summary;
    Body body{GraphView(function.node_def()), true};
    for (const tf::NodeDef& node : body.view.nodes()) Add(&body, node, &summary);
    return summaries_[function.signature().name()] = summary;
  }

  void Add(Body* body, const tf::NodeDef& node, Summary* summary) {
    if (IsOneOf(node.op(), {"Conv2D", "Conv3D"}) &&
        (IsConstantImage(body, node) || HasConstantInput(body, node, 1)))
      summary->convolution = node.name();
    if (IsFactor(node.op()) && HasConstantInput(body, node, 0) && !MayBeConstant(body, node, false))
      ++summary->factors;
    for (const tf::FunctionDef* called : functions_.NamedBy(node)) {
      const Summary inner = Summarize(*called);
      if (!inner.convolution.empty()) summary->convolution = inner.convolution;
      summary->factors += inner.factors;
    }
  }

  template <typename Find>
  std::string InAny(const Find& find) const {
    Body body{GraphView(graph_), false};
    std::string found = find(&body);
    for (const tf::FunctionDef& function : graph_.library().function()) {
      if (!found.empty()) break;
      Body inner{GraphView(function.node_def()), true};
      found = find(&inner);
    }
    return found;
  }

  std::string FactorsIn(Body* body) {
    for (const tf::NodeDef& node : body->view.nodes()) {
      Summary start;
      Add(body, node, &start);
      if (IsFactor(node.op())) start.factors = 0;
      if (!start.convolution.empty() && Follow(body, node, start.factors)) return start.convolution;
    }
    return "";
  }

  // A sum with a constant that may not have a value for each channel.
  static bool Broadcasts(Body* body, const tf::NodeDef& node) {
    if (!IsOneOf(node.op(), {"Add", "AddV2", "Sub"})) return false;
    for (int i = 0; i < CountDataInputs(node); ++i) {
      const tf::NodeDef* constant = body->view.Source(node.input(i));
      if (constant == nullptr || !MayBeConstant(body, *constant)) continue;
      if (constant->op() != "Const") return true;
      const tf::TensorShapeProto& shape = Attr(*constant, "value").tensor().tensor_shape();
      if (shape.dim_size() > 0 && shape.dim(shape.dim_size() - 1).size() == 1) return true;
    }
    return false;
  }

  static std::string BroadcastIn(Body* body) {
    body->shapes = false;
    for (const tf::NodeDef& node : body->view.nodes()) {
      if (node.op() != "BiasAdd") continue;
      std::set<const tf::NodeDef*> seen{&node};
      std::vector<const tf::NodeDef*> pending{&node};
      while (!pending.empty()) {
        const tf::NodeDef* at = pending.back();
        pending.pop_back();
        for (const GraphView::Reader& reader : body->view.Readers(at->name())) {
          if (Broadcasts(body, *reader.node)) return node.name();
          if (PassesOn(reader.node->op()) && seen.insert(reader.node).second) pending.push_back(reader.node);
        }
      }
    }
    return "";
  }

  // True if a path from this node, which itself counts `factors`, has several factors.
  bool Follow(Body* body, const tf::NodeDef& from, int factors) {
    std::map<const tf::NodeDef*, int> seen{{&from, factors}};
    std::vector<const tf::NodeDef*> pending{&from};
    if (factors >= kSeveral) return true;
    while (!pending.empty()) {
      const tf::NodeDef* at = pending.back();
      pending.pop_back();
      for (const GraphView::Reader& reader : body->view.Readers(at->name())) {
        const tf::NodeDef& node = *reader.node;
        Summary step;
        Add(body, node, &step);
        if (step.factors == 0 && !PassesOn(node.op()) && !IsFactor(node.op()) &&
            functions_.NamedBy(node).empty())
          continue;
        const int count = seen[at] + step.factors;
        if (count >= kSeveral) return true;
        const auto [entry, fresh] = seen.try_emplace(&node, count);
        if (!fresh && entry->second >= count) continue;
        entry->second = count;
        pending.push_back(&node);
      }
    }
    return false;
  }

  const tf::GraphDef& graph_;
  FunctionIndex functions_;
  std::map<std::string, Summary> summaries_;
};

}  // namespace

std::string FoldingHazard(const tf::GraphDef& graph) {
  Search search(graph);
  const std::string leave = "TensorFlow's constant folding is left out: ";
  const std::string convolution = search.Factors(), bias = convolution.empty() ? search.Broadcast() : "";
  if (!convolution.empty())
    return leave + "the factors behind node '" + convolution + "' may end the process in it";
  if (!bias.empty()) return leave + "it would take the constant behind node '" + bias + "' for an image";
  return "";
}

std::string LeaveOutFolding(const tf::GraphDef& graph, tf::ConfigProto* config) {
  if (Search(graph).Factors().empty()) return "";
  LeaveOutFolding(config);
  return FoldingHazard(graph);
}

void LeaveOutFolding(tf::ConfigProto* config) {
  auto* rewrite = config->mutable_graph_options()->mutable_rewrite_options();
  rewrite->set_constant_folding(tf::RewriterConfig::OFF);
  auto* optimizers = rewrite->mutable_optimizers();
  optimizers->erase(std::remove(optimizers->begin(), optimizers->end(), "constfold"), optimizers->end());
}

}  // namespace savedmodel::engine
