// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/factors.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/constants.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr int kSeveral = 2;

using Nodes = GraphView::Nodes;
using Names = std::set<std::string>;

bool IsConvolution(const std::string& op) { return op == "Conv2D" || op == "Conv3D"; }

bool IsFactor(const std::string& op) {
  static const auto* const ops = new Names{"Div", "DivNoNan", "Mul", "MulNoNan", "RealDiv", "Xdivy"};
  return ops->count(op) > 0;
}

// Ops that TensorFlow's optimizer may remove, or move a factor across.
bool PassesOn(const std::string& op) {
  static const auto* const ops = new Names{"Add",
                                           "AddN",
                                           "AddV2",
                                           "BatchToSpaceND",
                                           "BiasAdd",
                                           "BroadcastTo",
                                           "Bitcast",
                                           "Cast",
                                           "CheckNumerics",
                                           "Concat",
                                           "ConcatV2",
                                           "Enter",
                                           "Exit",
                                           "ExpandDims",
                                           "Identity",
                                           "IdentityN",
                                           "MirrorPad",
                                           "Neg",
                                           "Pack",
                                           "Pad",
                                           "PadV2",
                                           "PlaceholderWithDefault",
                                           "PreventGradient",
                                           "Reshape",
                                           "Reverse",
                                           "ReverseV2",
                                           "Select",
                                           "SelectV2",
                                           "Slice",
                                           "Snapshot",
                                           "SpaceToBatchND",
                                           "Split",
                                           "SplitV",
                                           "Squeeze",
                                           "StopGradient",
                                           "StridedSlice",
                                           "Sub",
                                           "Switch",
                                           "Merge",
                                           "Tile",
                                           "Transpose",
                                           "Unpack"};
  return ops->count(op) > 0 || op.rfind("FusedBatchNorm", 0) == 0;
}

struct Summary {
  std::string convolution;  // one that may have constant weights; empty: none
  int factors = 0;          // number of constant factors
};

class Search {
 public:
  explicit Search(const tf::GraphDef& graph) : graph_(graph) {
    for (const tf::FunctionDef& function : graph.library().function()) {
      functions_.emplace(function.signature().name(), &function);
    }
  }

  std::string Factors() {
    return InAny([this](Body* body) { return FactorsIn(body); });
  }
  std::string Broadcast() {
    return InAny([this](Body* body) { return BroadcastIn(body); });
  }

 private:
  struct Body {
    const Nodes& nodes;
    bool is_function;
    std::unordered_map<std::string, int> index;
    std::vector<std::vector<int>> readers;
    std::vector<char> constant[2];  // for functions' arguments taken as constant, and as not; kUnknown until
                                    // computed
    bool shapes = true;             // whether shapes count as constant
  };
  static constexpr char kNo = 0, kYes = 1, kUnknown = 2;

  static Body Read(const Nodes& nodes, bool is_function) {
    Body body{nodes, is_function, {}, {}, {}, true};
    const auto count = static_cast<std::size_t>(nodes.size());
    body.readers.resize(count);
    for (std::vector<char>& constant : body.constant) constant.assign(count, kUnknown);
    for (int i = 0; i < nodes.size(); ++i) body.index.emplace(nodes[i].name(), i);
    for (int i = 0; i < nodes.size(); ++i) {
      for (const std::string& input : nodes[i].input()) {
        const auto source = body.index.find(IsControl(input) ? "" : NodeOf(input));
        if (source != body.index.end()) body.readers[static_cast<std::size_t>(source->second)].push_back(i);
      }
    }
    return body;
  }

  // For an op with data inputs: true if it is constant when they are.
  static bool DependsOnInputs(const tf::NodeDef& node) {
    const tf::OpDef* op = nullptr;
    if (!tf::OpRegistry::Global()->LookUpOpDef(node.op(), &op).ok()) return true;  // a function
    return !op->is_stateful() && node.op() != "NextIteration";
  }

  // True if the node may become a constant; `given`: arguments of functions count as constant.
  static bool MayBeConstant(Body* body, int node, bool given = true) {
    std::vector<char>& constant = body->constant[given ? 0 : 1];
    std::vector<std::pair<int, int>> pending{{node, 0}};
    while (!pending.empty()) {
      auto& [at, input] = pending.back();
      const tf::NodeDef& current = body->nodes[at];
      char& value = constant[static_cast<std::size_t>(at)];
      if (input == 0) {
        const std::string& op = current.op();
        const bool shape = body->shapes && (op == "Shape" || op == "ShapeN" || op == "Size" || op == "Rank");
        // No, until proven otherwise: a loop leads back here.
        value = op == "Const" || shape ? kYes : kNo;
        const bool inputs = current.input_size() > 0 && !IsControl(current.input(0));
        if (value == kYes || !inputs || op == kPooledConstantOp || !DependsOnInputs(current)) {
          pending.pop_back();
          continue;
        }
      }
      if (input == current.input_size() || IsControl(current.input(input))) {
        value = kYes;
        pending.pop_back();
        continue;
      }
      const auto source = body->index.find(NodeOf(current.input(input)));
      const char known = source == body->index.end() ? (body->is_function && given ? kYes : kNo)
                                                     : constant[static_cast<std::size_t>(source->second)];
      if (known == kNo) {
        pending.pop_back();
      } else if (known == kYes) {
        ++input;
      } else {
        pending.emplace_back(source->second, 0);
      }
    }
    return constant[static_cast<std::size_t>(node)] == kYes;
  }

  // Looks at inputs from number `first` on.
  static bool HasConstantInput(Body* body, int node, int first) {
    const auto& inputs = body->nodes[node].input();
    for (int i = first; i < inputs.size() && inputs[i][0] != '^'; ++i) {
      const std::string& input = inputs[i];
      const auto source = body->index.find(NodeOf(input));
      const bool outside = source == body->index.end();
      if (outside ? body->is_function : MayBeConstant(body, source->second)) return true;
    }
    return false;
  }

  static bool IsConstantImage(Body* body, const std::string& input) {
    const auto source = body->index.find(NodeOf(input));
    return source != body->index.end() && MayBeConstant(body, source->second, false);
  }

  // All functions that a node names, however it uses them.
  std::vector<const tf::FunctionDef*> Calls(const tf::NodeDef& node) const {
    std::vector<const tf::FunctionDef*> called;
    std::vector<std::string> names = CalledFunctions(node);
    names.push_back(node.op());
    for (const std::string& name : names) {
      const auto found = functions_.find(name);
      if (found != functions_.end()) called.push_back(found->second);
    }
    return called;
  }

  // Includes everything that the function calls.
  const Summary& Summarize(const tf::FunctionDef& function) {
    const auto [entry, fresh] = summaries_.try_emplace(function.signature().name());
    if (!fresh) return entry->second;
    Summary summary;
    Body body = Read(function.node_def(), true);
    for (int i = 0; i < body.nodes.size(); ++i) Add(&body, i, &summary);
    return summaries_[function.signature().name()] = summary;
  }

  void Add(Body* body, int at, Summary* summary) {
    const tf::NodeDef& node = body->nodes[at];
    // An image that is an argument of a function is not constant.
    const bool image =
        IsConvolution(node.op()) && node.input_size() > 0 && IsConstantImage(body, node.input(0));
    if (IsConvolution(node.op()) && (image || HasConstantInput(body, at, 1)))
      summary->convolution = node.name();
    if (IsFactor(node.op()) && HasConstantInput(body, at, 0) && !MayBeConstant(body, at, false))
      ++summary->factors;
    for (const tf::FunctionDef* called : Calls(node)) {
      const Summary inner = Summarize(*called);
      if (!inner.convolution.empty()) summary->convolution = inner.convolution;
      summary->factors += inner.factors;
    }
  }

  template <typename Find>
  std::string InAny(const Find& find) const {
    Body body = Read(graph_.node(), false);
    std::string found = find(&body);
    for (auto function = functions_.begin(); found.empty() && function != functions_.end(); ++function) {
      Body inner = Read(function->second->node_def(), true);
      found = find(&inner);
    }
    return found;
  }

  std::string FactorsIn(Body* body) {
    for (int i = 0; i < body->nodes.size(); ++i) {
      Summary start;
      Add(body, i, &start);
      if (IsFactor(body->nodes[i].op())) start.factors = 0;
      if (!start.convolution.empty() && Follow(body, i, start.factors)) return start.convolution;
    }
    return "";
  }

  // A sum with a constant that may not have a value for each channel.
  static bool Broadcasts(Body* body, int at) {
    const tf::NodeDef& node = body->nodes[at];
    if (node.op() != "Add" && node.op() != "AddV2" && node.op() != "Sub") return false;
    for (const std::string& input : node.input()) {
      const auto source = body->index.find(NodeOf(input));
      if (IsControl(input) || source == body->index.end() || !MayBeConstant(body, source->second)) continue;
      const tf::NodeDef& constant = body->nodes[source->second];
      if (constant.op() != "Const") return true;
      const tf::TensorShapeProto& shape = Attr(constant, "value").tensor().tensor_shape();
      if (shape.dim_size() > 0 && shape.dim(shape.dim_size() - 1).size() == 1) return true;
    }
    return false;
  }

  static std::string BroadcastIn(Body* body) {
    body->shapes = false;
    for (int i = 0; i < body->nodes.size(); ++i) {
      if (body->nodes[i].op() != "BiasAdd") continue;
      std::set<int> seen{i};
      std::vector<int> pending{i};
      while (!pending.empty()) {
        const int at = pending.back();
        pending.pop_back();
        for (const int reader : body->readers[static_cast<std::size_t>(at)]) {
          if (Broadcasts(body, reader)) return body->nodes[i].name();
          if (PassesOn(body->nodes[reader].op()) && seen.insert(reader).second) pending.push_back(reader);
        }
      }
    }
    return "";
  }

  // True if a path from this node, which itself counts `factors`, has several factors.
  bool Follow(Body* body, int from, int factors) {
    std::map<int, int> seen{{from, factors}};
    std::vector<int> pending{from};
    if (factors >= kSeveral) return true;
    while (!pending.empty()) {
      const int at = pending.back();
      pending.pop_back();
      for (const int reader : body->readers[static_cast<std::size_t>(at)]) {
        Summary step;
        Add(body, reader, &step);
        const tf::NodeDef& node = body->nodes[reader];
        if (step.factors == 0 && !PassesOn(node.op()) && !IsFactor(node.op()) && Calls(node).empty())
          continue;
        const int count = seen[at] + step.factors;
        if (count >= kSeveral) return true;
        const auto [entry, fresh] = seen.try_emplace(reader, count);
        if (!fresh && entry->second >= count) continue;
        entry->second = count;
        pending.push_back(reader);
      }
    }
    return false;
  }

  const tf::GraphDef& graph_;
  std::map<std::string, const tf::FunctionDef*> functions_;
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
