// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/rewriter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/graph/attributes.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/grappler/costs/graph_properties.h"
#include "tensorflow/core/grappler/grappler_item.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

namespace {

// Large constants have a shape, and no value that a shape could depend on.
constexpr std::int64_t kSmall = 1024;  // elements

void AddForShapes(const tf::NodeDef& node, tf::GraphDef* graph) {
  tf::NodeDef* copy = graph->add_node();
  const tf::TensorProto& value = Attr(node, "value").tensor();
  if (node.op() != "Const" || tf::PartialTensorShape(value.tensor_shape()).num_elements() <= kSmall) {
    *copy = node;
    return;
  }
  copy->set_name(node.name());
  BecomePlaceholder(value.dtype(), &value.tensor_shape(), copy);
}

}  // namespace

bool IsControlFlow(const std::string& op) {
  return op == "Switch" || op == "RefSwitch" || op == "_SwitchN" || op == "Merge" || op == "RefMerge" ||
         op == "Enter" || op == "RefEnter" || op == "Exit" || op == "RefExit" || op == "NextIteration" ||
         op == "RefNextIteration" || op == "LoopCond";
}

struct Rewriter::Shapes {
  explicit Shapes(const tf::GraphDef& graph) : properties(item) {
    for (const tf::NodeDef& node : graph.node()) {
      if (!node.op().empty()) AddForShapes(node, &item.graph);
    }
    *item.graph.mutable_library() = graph.library();
    *item.graph.mutable_versions() = graph.versions();
    valid = properties.InferStatically(/*assume_valid_feeds=*/true).ok();
  }
  tf::grappler::GrapplerItem item;
  tf::grappler::GraphProperties properties;
  bool valid = false;
  bool stale = false;
};

Rewriter::Rewriter(tf::GraphDef* graph, ConstantPool* pool) : graph_(graph), pool_(pool) {
  for (tf::NodeDef& node : *graph->mutable_node()) {
    nodes_.emplace(node.name(), &node);
    has_control_flow_ |= IsControlFlow(node.op());
  }
  for (tf::NodeDef& node : *graph->mutable_node()) Connect(&node);
}

Rewriter::~Rewriter() = default;

std::vector<tf::NodeDef*> Rewriter::nodes() const {
  std::vector<tf::NodeDef*> result;
  for (tf::NodeDef& node : *graph_->mutable_node()) {
    if (!node.op().empty()) result.push_back(&node);
  }
  return result;
}

tf::NodeDef* Rewriter::Find(const std::string& name) const {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : found->second;
}

tf::NodeDef* Rewriter::Input(const tf::NodeDef& node, int input) const {
  if (input < 0 || input >= node.input_size() || IsControl(node.input(input))) return nullptr;
  return Find(TensorRef(node.input(input)).node);
}

tf::NodeDef* Rewriter::Input(const tf::NodeDef& node, int input, const char* op) const {
  tf::NodeDef* source = Input(node, input);
  return source != nullptr && source->op() == op && TensorRef(node.input(input)).index == 0 ? source
                                                                                            : nullptr;
}

const std::vector<Rewriter::Reader>& Rewriter::Readers(const tf::NodeDef& node) const {
  static const auto* const none = new std::vector<Reader>();
  const auto found = readers_.find(&node);
  return found == readers_.end() ? *none : found->second;
}

tf::NodeDef* Rewriter::OnlyReader(const tf::NodeDef& node) const {
  const std::vector<Reader>& readers = Readers(node);
  if (readers.size() != 1) return nullptr;
  return TensorRef(readers[0].node->input(readers[0].input)).index == 0 ? readers[0].node : nullptr;
}

const tf::Tensor* Rewriter::Constant(const tf::NodeDef& node, int input) {
  const tf::NodeDef* source = Input(node, input);
  while (source != nullptr && source->op() == "Identity") {
    if (has_control_flow_ && HasControlInputs(*source)) return nullptr;
    source = Input(*source, 0);
  }
  return source == nullptr ? nullptr : Value(*source);
}

const tf::Tensor* Rewriter::Value(const tf::NodeDef& constant) {
  if (has_control_flow_ && HasControlInputs(constant)) return nullptr;
  if (constant.op() == kPooledConstantOp) return pool_ == nullptr ? nullptr : pool_->Find(constant);
  if (constant.op() != "Const") return nullptr;
  const auto known = constants_.find(&constant);
  if (known != constants_.end()) return &known->second;
  std::optional<tf::Tensor> value = ConstValue(constant);
  return value ? &constants_.emplace(&constant, *std::move(value)).first->second : nullptr;
}

const tf::TensorShapeProto* Rewriter::Inferred(const std::string& tensor) {
  const TensorRef id(tensor);
  // A rewrite leaves the shapes of the tensors that it keeps.
  if (shapes_ != nullptr && shapes_->stale && !shapes_->properties.HasOutputProperties(id.node))
    shapes_.reset();
  if (shapes_ == nullptr) shapes_ = std::make_unique<Shapes>(*graph_);
  if (!shapes_->valid || !shapes_->properties.HasOutputProperties(id.node)) return nullptr;
  const auto& outputs = shapes_->properties.GetOutputProperties(id.node);
  if (id.index < 0 || static_cast<std::size_t>(id.index) >= outputs.size()) return nullptr;
  return &outputs[static_cast<std::size_t>(id.index)].shape();
}

tf::PartialTensorShape Rewriter::Shape(const std::string& tensor) {
  const tf::TensorShapeProto* shape = Inferred(tensor);
  return shape == nullptr ? tf::PartialTensorShape() : tf::PartialTensorShape(*shape);
}

bool Rewriter::SameShape(const std::string& a, const std::string& b) {
  Inferred(b);  // symbols of two inferences can't be compared: let one that is missing be missed now
  const tf::TensorShapeProto* found = Inferred(a);
  if (found == nullptr) return false;
  const tf::TensorShapeProto first = *found;
  const tf::TensorShapeProto* second = Inferred(b);
  if (second == nullptr || first.unknown_rank() || second->unknown_rank()) return false;
  if (first.dim_size() != second->dim_size()) return false;
  for (int i = 0; i < first.dim_size(); ++i) {
    if (first.dim(i).size() == -1 || first.dim(i).size() != second->dim(i).size()) return false;
  }
  return true;
}

tf::DataType Rewriter::Type(const tf::NodeDef& node, const char* attribute) const {
  return Attr(node, attribute).type();
}

tf::NodeDef* Rewriter::Add(const std::string& name, const std::string& op,
                           const std::vector<std::string>& inputs) {
  std::string unique = name;
  for (int i = 1; nodes_.count(unique) > 0; ++i) unique = name + "_" + std::to_string(i);
  tf::NodeDef* node = graph_->add_node();
  node->set_name(unique);
  node->set_op(op);
  for (const std::string& input : inputs) node->add_input(input);
  nodes_.emplace(unique, node);
  Connect(node);
  return node;
}

tf::NodeDef* Rewriter::AddConstant(const std::string& name, const tf::Tensor& value) {
  tf::NodeDef* node = Add(name, "Const", {});
  if (pool_ != nullptr && ConstantPool::Takes(value)) {
    pool_->Add(value, node);
    return node;
  }
  (*node->mutable_attr())["dtype"].set_type(value.dtype());
  value.AsProtoTensorContent((*node->mutable_attr())["value"].mutable_tensor());
  return node;
}

void Rewriter::SetInput(tf::NodeDef* node, int input, const std::string& tensor) {
  Disconnect(node);
  node->set_input(input, tensor);
  Connect(node);
}

void Rewriter::Replace(const tf::NodeDef& node, const tf::NodeDef& replacement) {
  if (tf::NodeDef* to = Find(replacement.name()); to != nullptr && to->op() != "Const") {
    const tf::AttrValue* replaces = FindAttr(node, kReplacesAttr);
    const std::string name = replaces == nullptr ? node.name() : replaces->s();
    (*to->mutable_attr())[kReplacesAttr].set_s(name);
  }
  const std::vector<Reader> readers = Readers(node);
  for (const Reader& reader : readers) {
    if (reader.node == &replacement) continue;
    const TensorRef id(reader.node->input(reader.input));
    SetInput(reader.node, reader.input, id.index < 0 ? "^" + replacement.name() : replacement.name());
  }
}

void Rewriter::Become(tf::NodeDef* node, const std::string& op, const std::vector<std::string>& inputs) {
  Disconnect(node);
  std::vector<std::string> all = inputs;
  for (const std::string& input : node->input()) {
    if (IsControl(input)) all.push_back(input);
  }
  node->set_op(op);
  const std::string replaces = Attr(*node, kReplacesAttr).s();
  node->clear_attr();
  if (!replaces.empty()) (*node->mutable_attr())[kReplacesAttr].set_s(replaces);
  node->clear_input();
  for (const std::string& input : all) node->add_input(input);
  constants_.erase(node);
  Connect(node);
}

void Rewriter::Become(tf::NodeDef* node, const tf::NodeDef& as) {
  Become(node, as.op(), {as.input().begin(), as.input().end()});
  tf::AttrValue replaces = Attr(*node, kReplacesAttr);
  *node->mutable_attr() = as.attr();
  if (!replaces.s().empty()) (*node->mutable_attr())[kReplacesAttr] = std::move(replaces);
}

void Rewriter::Remove(tf::NodeDef* node) {
  Disconnect(node);
  nodes_.erase(node->name());
  constants_.erase(node);
  node->clear_input();
  node->clear_attr();
  node->clear_op();
}

void Rewriter::RemoveUnread(const std::unordered_set<std::string>& kept) {
  std::vector<tf::NodeDef*> pending = nodes();
  while (!pending.empty()) {
    tf::NodeDef* node = pending.back();
    pending.pop_back();
    if (node->op().empty() || node->op() == "Placeholder" || kept.count(node->name()) > 0) continue;
    if (!Readers(*node).empty()) continue;
    for (const std::string& input : node->input()) {
      if (tf::NodeDef* source = Find(TensorRef(input).node)) pending.push_back(source);
    }
    Remove(node);
  }
}

void Rewriter::Finish() {
  auto* nodes = graph_->mutable_node();
  int kept = 0;
  for (int i = 0; i < nodes->size(); ++i) {
    if (nodes->Get(i).op().empty()) continue;
    if (kept != i) nodes->SwapElements(kept, i);
    ++kept;
  }
  nodes->DeleteSubrange(kept, nodes->size() - kept);
}

void Rewriter::Connect(tf::NodeDef* node) {
  if (shapes_ != nullptr) shapes_->stale = true;
  for (int i = 0; i < node->input_size(); ++i) {
    const tf::NodeDef* source = Find(TensorRef(node->input(i)).node);
    if (source != nullptr) readers_[source].push_back({node, i});
  }
}

void Rewriter::Disconnect(tf::NodeDef* node) {
  if (shapes_ != nullptr) shapes_->stale = true;
  for (const std::string& input : node->input()) {
    const tf::NodeDef* source = Find(TensorRef(input).node);
    if (source == nullptr) continue;
    auto& readers = readers_[source];
    readers.erase(std::remove_if(readers.begin(), readers.end(),
                                 [&](const Reader& reader) { return reader.node == node; }),
                  readers.end());
  }
}

}  // namespace savedmodel::engine
