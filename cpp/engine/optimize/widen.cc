// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/widen.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/constants.h"
#include "engine/graph/functions.h"
#include "engine/graph/graph_view.h"
#include "engine/kernels/gemm_strip.h"
#include "engine/ops/attributes.h"
#include "engine/ops/dense.h"
#include "engine/ops/grouped.h"
#include "engine/optimize/match/match.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Nodes = GraphView::Nodes;

bool IsNarrow(tf::DataType type) { return type == tf::DT_HALF || type == tf::DT_BFLOAT16; }

// Those that make a graph worth widening.
const std::unordered_set<std::string>& Products() {
  static const std::unordered_set<std::string> ops = {
      "MatMul", "BatchMatMul", "BatchMatMulV2",       "BatchMatMulV3",         "Einsum",
      "Conv2D", "Conv3D",      "Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNative"};
  return ops;
}

// Ops that compute the same in float32, but for rounding. Not here: what draws random numbers or prints
// values, which depend on the type, and what rounds to integers or counts by rounded numbers.
const std::unordered_set<std::string>& Widenable() {
  static const std::unordered_set<std::string> ops = [] {
    std::unordered_set<std::string> all = {
        // Element by element.
        "Abs", "Add", "AddN", "AddV2", "BiasAdd", "BiasAddV1", "ClipByValue", "Cos", "Div", "DivNoNan", "Elu",
        "Erf", "Erfc", "Exp", "Expm1", "Inv", "LeakyRelu", "Log", "Log1p", "Maximum", "Minimum", "Mul",
        "MulNoNan", "Neg", "Pow", "RealDiv", "Reciprocal", "Relu", "Relu6", "Rsqrt", "Selu", "Sigmoid",
        "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "Sub", "Tanh", "Xdivy",
        "Xlogy", "Equal", "Greater", "GreaterEqual", "IsFinite", "IsInf", "IsNan", "Less", "LessEqual",
        "NotEqual", "Select", "SelectV2",
        // Over axes.
        "ArgMax", "ArgMin", "AvgPool", "AvgPool3D", "Cumsum", "FusedBatchNorm", "FusedBatchNormV2",
        "FusedBatchNormV3", "L2Loss", "LogSoftmax", "Max", "MaxPool", "MaxPoolV2", "Mean", "Min", "Prod",
        "Softmax", "Sum", "TopK", "TopKV2",
        // Images.
        "CropAndResize", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor",
        // Ops that move values.
        "Assert", "BatchToSpaceND", "BroadcastTo", "Concat", "ConcatV2", "DepthToSpace", "DynamicStitch",
        "Empty", "EnsureShape", "ExpandDims", "Fill", "Gather", "GatherNd", "GatherV2", "Identity",
        "IdentityN", "InplaceUpdate", "LinSpace", "MatrixBandPart", "MirrorPad", "OneHot", "OnesLike", "Pack",
        "Pad", "PadV2", "ParallelDynamicStitch", "PreventGradient", "Rank", "Reshape", "ReverseV2",
        "ReverseSequence", "Roll", "ScatterNd", "Shape", "ShapeN", "Size", "Slice", "Snapshot",
        "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV", "Squeeze", "StopGradient", "StridedSlice",
        "TensorScatterAdd", "TensorScatterUpdate", "Tile", "Transpose", "Unpack", "ZerosLike",
        // Loops and branches, and the lists in them.
        "Case", "If", "PartitionedCall", "StatefulPartitionedCall", "StatelessCase", "StatelessIf",
        "StatelessWhile", "While", "EmptyTensorList", "TensorListConcatV2", "TensorListFromTensor",
        "TensorListGather", "TensorListGetItem", "TensorListPopBack", "TensorListPushBack",
        "TensorListReserve", "TensorListSetItem", "TensorListSplit", "TensorListStack"};
    all.insert(Products().begin(), Products().end());
    return all;
  }();
  return ops;
}

// Ops whose result keeps its type; readers get it through a Cast. The names of their outputs in functions.
const std::unordered_map<std::string, std::string>& Sources() {
  static const std::unordered_map<std::string, std::string> outputs = {{"Placeholder", "output"},
                                                                       {"ReadVariableOp", "value"},
                                                                       {"ResourceGather", "output"},
                                                                       {"ResourceGatherNd", "output"},
                                                                       {kPooledConstantOp, "output"}};
  return outputs;
}

// Attributes with an underscore describe handles and shapes.
template <typename Visit>
void ForEachType(const tf::NodeDef& node, const Visit& visit) {
  for (const auto& [name, value] : node.attr()) {
    if (name[0] == '_') continue;
    if (value.value_case() == tf::AttrValue::kType) visit(value.type());
    for (const int type : value.list().type()) visit(static_cast<tf::DataType>(type));
  }
}

bool HasNarrow(const tf::NodeDef& node) {
  bool found = false;
  ForEachType(node, [&](tf::DataType type) { found |= IsNarrow(tf::BaseType(type)); });
  return found;
}

void SetType(tf::NodeDef* node, const char* attribute, tf::DataType type) {
  (*node->mutable_attr())[attribute].set_type(type);
}

tf::Tensor AsFloat(const tf::Tensor& narrow) {
  tf::Tensor wide(tf::DT_FLOAT, narrow.shape());
  auto flat = wide.flat<float>();
  if (narrow.dtype() == tf::DT_HALF) {
    flat = narrow.flat<Eigen::half>().cast<float>();
  } else {
    flat = narrow.flat<Eigen::bfloat16>().cast<float>();
  }
  return wide;
}

class Widening {
 public:
  explicit Widening(IsolatedGraph* isolated) : isolated_(isolated) {
    for (const std::string& tensor : isolated->fetches) fetches_.insert(TensorRef(tensor).node);
  }

  Widened Run() {
    Widened result;
    tf::GraphDef& graph = isolated_->graph;
    const auto is_narrow_product = [](const tf::NodeDef& node) {
      return Products().count(node.op()) > 0 && HasNarrow(node);
    };
    if (!AnyNode(graph, is_narrow_product)) return result;
    // Functions that nothing calls any more must not decide.
    tf::FunctionDefLibrary library;
    library.Swap(graph.mutable_library());
    CopyNeededFunctions(library, &graph);
    const auto refuse = [&](const tf::NodeDef& node, const std::string& why) {
      result.why_not =
          "float16 and bfloat16 stay: op '" + node.op() + "' (node '" + node.name() + "') " + why;
      return true;
    };
    AnyNode(graph, [&](const tf::NodeDef& node) {
      return !CanWiden(node) && refuse(node, "is not computed in float32");
    });
    AnyDependent([&](const tf::NodeDef& node) {
      return RoundsToIntegers(node) && refuse(node, "makes integers of what would be rounded otherwise");
    });
    if (!result.why_not.empty()) return result;
    for (const tf::NodeDef& node : graph.node()) {
      if (Products().count(node.op()) > 0 && Attr(node, "T").type() == tf::DT_BFLOAT16)
        result.bfloat16_products.insert(node.name());
    }
    result.nodes = WidenBody(graph.mutable_node(), nullptr);
    for (tf::FunctionDef& function : *graph.mutable_library()->mutable_function()) {
      result.nodes += WidenBody(function.mutable_node_def(), &function);
      WidenArguments(function.mutable_signature());
    }
    return result;
  }

 private:
  // Whether `is_so` is true of a node that computes with a narrow value, or with what was made of one.
  template <typename IsSo>
  void AnyDependent(const IsSo& is_so) const {
    const auto visit = [&](const Nodes& nodes, const tf::FunctionDef* function) {
      std::unordered_set<std::string> narrow;
      const auto depends = [&](const tf::NodeDef& node) {
        if (HasNarrow(node)) return true;
        return std::any_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
          return !IsControl(input) && narrow.count(NodeOf(input)) > 0;
        });
      };
      if (function != nullptr) {
        for (const auto& argument : function->signature().input_arg()) {
          if (IsNarrow(argument.type())) narrow.insert(argument.name());
        }
      }
      for (bool more = true; more;) {
        more = false;
        for (const tf::NodeDef& node : nodes) {
          if (narrow.count(node.name()) > 0 || !depends(node)) continue;
          if (IsOneOf(node.op(), {"Shape", "ShapeN", "Size", "Rank"})) continue;  // of any values
          narrow.insert(node.name());
          more = true;
          if (is_so(node)) return true;
        }
      }
      return false;
    };
    if (visit(isolated_->graph.node(), nullptr)) return;
    for (const tf::FunctionDef& function : isolated_->graph.library().function()) {
      if (visit(function.node_def(), &function)) return;
    }
  }

  // Whether a number is just below an integer depends on rounding.
  static bool RoundsToIntegers(const tf::NodeDef& node) {
    static const std::unordered_set<std::string> ops = {"Floor", "Ceil",     "Rint",
                                                        "Round", "FloorDiv", "FloorMod"};
    if (node.op() != "Cast")
      return ops.count(node.op()) > 0 && tf::DataTypeIsFloating(Attr(node, "T").type());
    return tf::DataTypeIsFloating(Attr(node, "SrcT").type()) &&
           tf::DataTypeIsInteger(Attr(node, "DstT").type());
  }

  bool CanWiden(const tf::NodeDef& node) const {
    const bool generic = std::any_of(node.attr().begin(), node.attr().end(), [](const auto& attribute) {
      return attribute.second.value_case() == tf::AttrValue::kPlaceholder;
    });
    if (generic) return false;
    if (!HasNarrow(node) || node.op() == "VarHandleOp" || Sources().count(node.op()) > 0) return true;
    return node.op() == "Cast" || Widenable().count(node.op()) > 0 ||
           (node.op() == "Const" && ConstValue(node).has_value());
  }

  int WidenBody(Nodes* nodes, tf::FunctionDef* function) {
    int count = 0;
    std::unordered_map<std::string, std::string> casts;  // what is read instead, by the name of a node
    std::vector<tf::NodeDef> added;
    const GraphView view(*nodes);
    for (tf::NodeDef& node : *nodes) {
      if (!HasNarrow(node) || node.op() == "VarHandleOp") continue;
      const auto source = Sources().find(node.op());
      if (source == Sources().end()) {
        const bool was_cast = node.op() == "Cast";
        WidenNode(&node, function == nullptr && fetches_.count(node.name()) > 0);
        // In functions, outputs have names.
        if (was_cast && node.op() == "Identity" && function != nullptr)
          casts.emplace(node.name(), node.name() + ":output:0");
        ++count;
        continue;
      }
      std::string name = node.name() + "/float32";
      while (view.Find(name) != nullptr) name += "_";
      const std::string output = function == nullptr ? "" : ":" + source->second + ":0";
      added.push_back(Cast(name, node.name() + output, Attr(node, "dtype").type(), tf::DT_FLOAT));
      casts.emplace(node.name(), function == nullptr ? name : name + ":y:0");
    }
    if (casts.empty()) return count;
    const auto redirect = [&](std::string* input) {
      if (IsControl(*input)) return;
      const auto cast = casts.find(NodeOf(*input));
      if (cast != casts.end()) *input = cast->second;
    };
    for (tf::NodeDef& node : *nodes) {
      for (std::string& input : *node.mutable_input()) redirect(&input);
    }
    for (tf::NodeDef& node : added) *nodes->Add() = std::move(node);
    if (function == nullptr) return count;
    for (auto& result : *function->mutable_ret()) redirect(&result.second);
    return count;
  }

  static tf::NodeDef Cast(const std::string& name, const std::string& input, tf::DataType from,
                          tf::DataType to) {
    tf::NodeDef node;
    node.set_name(name);
    node.set_op("Cast");
    node.add_input(input);
    SetType(&node, "SrcT", from);
    SetType(&node, "DstT", to);
    (*node.mutable_attr())["Truncate"].set_b(false);
    return node;
  }

  static void WidenNode(tf::NodeDef* node, bool fetched) {
    auto& attributes = *node->mutable_attr();
    if (node->op() == "Const") {
      AsFloat(*ConstValue(*node)).AsProtoTensorContent(attributes["value"].mutable_tensor());
    }
    const tf::DataType type = Attr(*node, "T").type();
    for (auto& [name, value] : attributes) {
      if (name[0] == '_') continue;
      if (value.value_case() == tf::AttrValue::kType && IsNarrow(value.type())) value.set_type(tf::DT_FLOAT);
      if (value.value_case() != tf::AttrValue::kList) continue;
      for (int& one : *value.mutable_list()->mutable_type()) {
        if (IsNarrow(static_cast<tf::DataType>(one))) one = tf::DT_FLOAT;
      }
    }
    if (fetched) {
      node->set_op("Cast");
      attributes.erase("T");
      SetType(node, "SrcT", tf::DT_FLOAT);
      SetType(node, "DstT", type);
      attributes["Truncate"].set_b(false);
    } else if (node->op() == "Cast" && attributes["SrcT"].type() == attributes["DstT"].type()) {
      node->set_op("Identity");
      for (const char* name : {"SrcT", "DstT", "Truncate"}) attributes.erase(name);
      SetType(node, "T", tf::DT_FLOAT);
    }
  }

  static void WidenArguments(tf::OpDef* signature) {
    for (auto* arguments : {signature->mutable_input_arg(), signature->mutable_output_arg()}) {
      for (tf::OpDef::ArgDef& argument : *arguments) {
        if (IsNarrow(argument.type())) argument.set_type(tf::DT_FLOAT);
      }
    }
  }

  IsolatedGraph* const isolated_;
  std::unordered_set<std::string> fetches_;
};

}  // namespace

Widened Widen(IsolatedGraph* isolated) { return Widening(isolated).Run(); }

int NarrowProducts(const Widened& widened, IsolatedGraph* isolated) {
  if (widened.bfloat16_products.empty() || Bfloat16GemmKernel() == nullptr) return 0;
  int count = 0;
  for (tf::NodeDef& node : *isolated->graph.mutable_node()) {
    // Not Winograd's: its transforms would enlarge the error of rounding.
    if (node.op() != kDenseOp && node.op() != kGroupedOp) continue;
    // Passes keep a product's name, or make another of it: "dense/MatMul/rows".
    const std::string parent = node.name().substr(0, node.name().rfind('/'));
    const auto& products = widened.bfloat16_products;
    if (products.count(node.name()) == 0 && products.count(parent) == 0) continue;
    (*node.mutable_attr())[kPrecision].set_s(kBf16);
    ++count;
  }
  return count;
}

}  // namespace savedmodel::engine
