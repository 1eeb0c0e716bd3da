// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/graph_tensors.h"

#include <algorithm>
#include <utility>

#include "engine/base/names.h"
#include "engine/edit/inline.h"
#include "engine/graph/attributes.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/graph.h"
#include "engine/graph/graph_view.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph_def_util.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/grappler/costs/graph_properties.h"
#include "tensorflow/core/grappler/grappler_item.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

constexpr std::size_t kMaxNames = 50'000;
constexpr int kDepth = 32;  // functions may call themselves

// The nodes of a graph and of the functions that it calls.
class CallTree {
 public:
  explicit CallTree(const tf::GraphDef& graph) : graph_(graph) {
    for (const tf::FunctionDef& function : graph.library().function()) {
      functions_.emplace(function.signature().name(), function);
    }
  }
  // The calls that lead to a node, from the outermost in, each by its name after the inlining of those before
  // it. Returns false if there is no such node.
  bool Find(const std::string& node, std::vector<std::string>* calls) const {
    return Find(graph_, node, "", calls);
  }
  std::vector<std::string> AllNames() const {
    std::vector<std::string> names;
    AddNames(graph_, "", 0, &names);
    return names;
  }
  // A function that has such a node, even if no chain of calls leads to it.
  std::string FunctionWith(const std::string& node) const {
    const std::string last = node.substr(node.rfind('/') + 1);
    for (const auto& [name, nodes] : functions_) {
      if (nodes.Find(node) != nullptr || nodes.Find(last) != nullptr) return name;
    }
    return "";
  }

 private:
  const GraphView* Body(const tf::NodeDef& call) const {
    const auto found = functions_.find(CalledBy(call));
    return found == functions_.end() ? nullptr : &found->second;
  }
  bool Find(const GraphView& nodes, const std::string& name, const std::string& prefix,
            std::vector<std::string>* calls) const {
    if (nodes.Find(name) != nullptr) return true;
    for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      const tf::NodeDef* call = nodes.Find(name.substr(0, slash));
      const GraphView* body = call == nullptr ? nullptr : Body(*call);
      if (body == nullptr) continue;
      calls->push_back(prefix + call->name());
      if (Find(*body, name.substr(slash + 1), calls->back() + "/", calls)) return true;
      calls->pop_back();
    }
    return false;
  }
  void AddNames(const GraphView& nodes, const std::string& prefix, int depth,
                std::vector<std::string>* names) const {
    for (const tf::NodeDef& node : nodes.nodes()) {
      if (names->size() >= kMaxNames) return;
      names->push_back(prefix + node.name());
      const GraphView* body = depth < kDepth ? Body(node) : nullptr;
      if (body != nullptr) AddNames(*body, prefix + node.name() + "/", depth + 1, names);
    }
  }
  GraphView graph_;
  std::map<std::string, GraphView> functions_;
};

// Shapes by tensor; those that can't be inferred are missing.
std::map<std::string, tf::PartialTensorShape> InferShapes(tf::GraphDef graph,
                                                          const std::vector<std::string>& tensors) {
  const tf::FunctionLibraryDefinition library(tf::OpRegistry::Global(), graph.library());
  tf::AddDefaultAttrsToGraphDef(&graph, library, 0).IgnoreError();
  tf::grappler::GrapplerItem item;
  item.graph.Swap(&graph);
  item.fetch = tensors;
  tf::grappler::GraphProperties properties(item);
  std::map<std::string, tf::PartialTensorShape> shapes;
  if (!properties.InferStatically(/*assume_valid_feeds=*/false).ok()) return shapes;
  for (const std::string& tensor : tensors) {
    const TensorRef name = TensorRef::Parse(tensor);
    const auto& outputs = properties.GetOutputProperties(name.node);
    if (static_cast<std::size_t>(name.index) >= outputs.size()) continue;
    const tf::TensorShapeProto& shape = outputs[static_cast<std::size_t>(name.index)].shape();
    tf::TensorShapeProto known;  // sizes below -1 are symbols
    known.set_unknown_rank(shape.unknown_rank());
    for (const auto& dim : shape.dim()) known.add_dim()->set_size(std::max<std::int64_t>(dim.size(), -1));
    tf::PartialTensorShape valid;
    if (tf::PartialTensorShape::BuildPartialTensorShape(known, &valid).ok()) shapes.emplace(tensor, valid);
  }
  return shapes;
}

// The shape that the exporting program recorded.
tf::PartialTensorShape WrittenShape(const tf::GraphDef& graph, const TensorRef& name) {
  const tf::NodeDef* node = GraphView(graph).Find(name.node);
  const auto& shapes = node == nullptr ? tf::AttrValue::ListValue::default_instance().shape()
                                       : Attr(*node, "_output_shapes").list().shape();
  tf::PartialTensorShape shape;
  const bool valid = name.index < shapes.size() &&
                     tf::PartialTensorShape::BuildPartialTensorShape(shapes[name.index], &shape).ok();
  return valid ? shape : tf::PartialTensorShape();
}

}  // namespace

std::string FindTensor(const std::string& text, tf::GraphDef* graph) {
  const TensorRef name = TensorRef::Parse(text);
  std::vector<std::string> calls;
  {
    const CallTree tree(*graph);
    if (!tree.Find(name.node, &calls)) {
      const std::vector<std::string> names = tree.AllNames();
      const std::string function = Near(name.node, names).empty() ? tree.FunctionWith(name.node) : "";
      if (!function.empty()) {
        throw UsageError(
            UsageError::Kind::kName,
            "no tensor " + Quote(text) + "; the function " + Quote(function) +
                " has one, but it can't be inlined: it is the body of a loop or branch, or is not "
                "called");
      }
      ThrowNoSuch("node", name.node, names);
    }
  }
  for (const std::string& call : calls) InlineCall(call, graph);
  try {
    GraphIndex(*graph).TypeOf(name, "tensor " + Quote(text));
  } catch (const Error& error) {
    throw UsageError(UsageError::Kind::kName, error.what());
  }
  return name.ToString();
}

std::map<std::string, tf::TensorInfo> Describe(const tf::GraphDef& graph,
                                               const std::vector<std::string>& tensors) {
  const tf::GraphDef needed = Prune(graph, {}, tensors);
  const GraphIndex index(needed);
  const auto shapes = InferShapes(needed, tensors);
  std::map<std::string, tf::TensorInfo> infos;
  for (const std::string& tensor : tensors) {
    const TensorRef name = TensorRef::Parse(tensor);
    const auto dtype = static_cast<tf::DataType>(index.TypeOf(name, tensor));
    if (dtype == tf::DT_RESOURCE || dtype == tf::DT_VARIANT || dtype == tf::DT_INVALID) {
      throw UsageError(UsageError::Kind::kDType, "tensor " + Quote(tensor) + " is of the type " +
                                                     tf::DataTypeString(dtype) +
                                                     ", which no call can take or return");
    }
    tf::PartialTensorShape shape = WrittenShape(graph, name);
    const auto inferred = shapes.find(tensor);
    if (inferred != shapes.end()) {
      tf::PartialTensorShape merged;
      // If they contradict each other, the present graph takes precedence.
      shape = shape.MergeWith(inferred->second, &merged).ok() ? merged : inferred->second;
    }
    tf::TensorInfo& info = infos[tensor];
    info.set_name(tensor);
    info.set_dtype(dtype);
    shape.AsProto(info.mutable_tensor_shape());
  }
  return infos;
}

}  // namespace savedmodel::engine::edit
