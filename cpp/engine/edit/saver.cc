// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/saver.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/edit/inline.h"
#include "engine/graph/attributes.h"
#include "engine/graph/graph.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/provenance.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

constexpr int kSaveInputs = 3;  // the file, names, slices; then tensors

// Copies chosen elements of a Const; nullopt if it is no Const of `count` strings.
std::optional<tf::NodeDef> Select(const tf::GraphDef& graph, const std::string& input, int count,
                                  const std::vector<int>& chosen, const std::string& name) {
  const tf::NodeDef* constant = GraphView(graph).Source(input);
  const auto value = constant == nullptr ? std::nullopt : ConstValue(*constant);
  if (!value || value->dtype() != tf::DT_STRING || value->NumElements() != count) return std::nullopt;
  tf::Tensor fewer(tf::DT_STRING, tf::TensorShape({static_cast<std::int64_t>(chosen.size())}));
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    fewer.flat<tf::tstring>()(static_cast<Eigen::Index>(i)) = value->flat<tf::tstring>()(chosen[i]);
  }
  tf::NodeDef node;
  node.set_name(name);
  BecomeConst(fewer, &node);
  return node;
}

// Keeps only `chosen` of the tensors that the node reads or writes. Returns false if its names are not
// constant.
bool Shrink(int position, const std::vector<int>& chosen, tf::GraphDef* graph) {
  const tf::NodeDef old = graph->node(position);
  const tf::AttrValue::ListValue& types = Attr(old, "dtypes").list();
  const auto names =
      Select(*graph, old.input(1), types.type_size(), chosen, old.name() + "/pruned_tensor_names");
  const auto slices =
      Select(*graph, old.input(2), types.type_size(), chosen, old.name() + "/pruned_shape_and_slices");
  if (!names || !slices) return false;
  tf::NodeDef* node = graph->mutable_node(position);
  auto* kept = (*node->mutable_attr())["dtypes"].mutable_list();
  kept->clear_type();
  for (const int i : chosen) kept->add_type(types.type(i));
  node->set_input(1, names->name());
  node->set_input(2, slices->name());
  *graph->add_node() = *names;
  *graph->add_node() = *slices;
  return true;
}

void ForgetControl(const std::string& name, tf::GraphDef* graph) {
  for (tf::NodeDef& node : *graph->mutable_node()) {
    auto* inputs = node.mutable_input();
    inputs->erase(std::remove(inputs->begin(), inputs->end(), "^" + name), inputs->end());
  }
}

void ShrinkRestore(int position, const NeededNodes& needed, tf::GraphDef* graph) {
  const std::string name = graph->node(position).name();
  std::set<int> read;
  for (const tf::NodeDef& node : graph->node()) {
    if (!needed.Has(node.name())) continue;
    for (const std::string& input : node.input()) {
      if (!IsControl(input) && NodeOf(input) == name) read.insert(TensorRef::Parse(input).index);
    }
  }
  const std::vector<int> chosen(read.begin(), read.end());
  const int count = Attr(graph->node(position), "dtypes").list().type_size();
  if (chosen.empty()) {  // TensorFlow 2.0 also restored the object graph, which no node reads
    ForgetControl(name, graph);
    return;
  }
  if (chosen.back() >= count) return;  // an output that the node does not have
  if (static_cast<int>(chosen.size()) == count || !Shrink(position, chosen, graph)) return;
  std::map<int, std::size_t> numbers;
  for (std::size_t i = 0; i < chosen.size(); ++i) numbers.emplace(chosen[i], i);
  for (tf::NodeDef& node : *graph->mutable_node()) {
    for (std::string& input : *node.mutable_input()) {
      if (IsControl(input) || NodeOf(input) != name) continue;
      const auto number = numbers.find(TensorRef::Parse(input).index);
      if (number != numbers.end()) input = name + ":" + std::to_string(number->second);
    }
  }
}

void ShrinkSave(int position, const NeededNodes& needed, tf::GraphDef* graph) {
  const tf::NodeDef& node = graph->node(position);
  const int count = Attr(node, "dtypes").list().type_size();
  if (node.input_size() < kSaveInputs + count) return;
  std::vector<int> chosen;
  std::vector<std::string> inputs{node.input(0), node.input(1), node.input(2)};
  for (int i = 0; i < count; ++i) {
    if (needed.ReadsUnneeded(node.input(kSaveInputs + i))) continue;
    chosen.push_back(i);
    inputs.push_back(node.input(kSaveInputs + i));
  }
  for (int i = kSaveInputs + count; i < node.input_size(); ++i) {
    if (!needed.ReadsUnneeded(node.input(i))) inputs.push_back(node.input(i));
  }
  if (chosen.empty() || static_cast<int>(chosen.size()) == count || !Shrink(position, chosen, graph)) return;
  tf::NodeDef* shrunk = graph->mutable_node(position);
  for (int i = 1; i < kSaveInputs; ++i) {
    inputs[static_cast<std::size_t>(i)] = shrunk->input(i);  // the shorter names and slices
  }
  shrunk->clear_input();
  for (const std::string& input : inputs) shrunk->add_input(input);
}

}  // namespace

void InlineSaver(tf::MetaGraphDef* meta_graph) {
  const tf::SaverDef& saver = meta_graph->saver_def();
  for (const std::string& tensor : {saver.restore_op_name(), saver.save_tensor_name()}) {
    if (tensor.empty()) continue;
    const tf::NodeDef* node = GraphView(meta_graph->graph_def()).Source(tensor);
    if (node == nullptr) continue;
    for (const tf::FunctionDef& function : meta_graph->graph_def().library().function()) {
      if (function.signature().name() != CalledBy(*node)) continue;
      InlineCall(std::string(node->name()), meta_graph->mutable_graph_def());
      break;
    }
  }
}

void ShrinkSaver(const NeededNodes& needed, tf::GraphDef* graph) {
  const int count = graph->node_size();
  for (int i = 0; i < count; ++i) {
    const bool known =
        graph->node(i).attr().count("dtypes") > 0 && graph->node(i).input_size() >= kSaveInputs;
    if (!known) continue;
    if (graph->node(i).op() == "RestoreV2") ShrinkRestore(i, needed, graph);
    if (graph->node(i).op() == "SaveV2") ShrinkSave(i, needed, graph);
  }
}

}  // namespace savedmodel::engine::edit
