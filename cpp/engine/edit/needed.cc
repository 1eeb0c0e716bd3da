// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/needed.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/graph/attributes.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

bool HasOneOutput(const tf::NodeDef& node) {
  const tf::OpDef* op = FindOp(node.op());
  if (op == nullptr || op->output_arg_size() != 1) return false;
  const tf::OpDef::ArgDef& output = op->output_arg(0);
  return output.number_attr().empty() && output.type_list_attr().empty() && !output.is_ref();
}

// True for nodes that pass a handle on to their readers.
bool PassesOn(const tf::NodeDef& node) { return node.op() == "Identity" || node.op() == "RefIdentity"; }

}  // namespace

bool MakesHandle(const tf::NodeDef& node) {
  const tf::OpDef* op = FindOp(node.op());
  if (op == nullptr || !op->is_stateful()) return false;
  if (op->input_arg_size() > 0 || op->output_arg_size() == 0) return false;
  const bool shared = std::any_of(op->attr().begin(), op->attr().end(),
                                  [](const auto& attribute) { return attribute.name() == "shared_name"; });
  return shared && (op->output_arg(0).is_ref() || op->output_arg(0).type() == tf::DT_RESOURCE);
}

std::vector<std::string> DenseTensors(const std::vector<TensorSpec>& specs) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : Flatten(specs)) names.push_back(TensorRef::Parse(spec.name).ToString());
  return names;
}

void NeededNodes::Add(const std::string& start) {
  if (needed_.count(start) > 0) return;
  graph_.Walk(
      {start}, [this](const tf::NodeDef& node) { needed_.insert(node.name()); },
      [this](const tf::NodeDef&, const std::string& input) { return needed_.count(NodeOf(input)) == 0; });
}

void NeededNodes::AddCall(const std::vector<std::string>& feeds, const std::vector<std::string>& fetches) {
  const std::set<std::string> fed(feeds.begin(), feeds.end());
  const auto computed = [&](const std::string& tensor) {
    return IsControl(tensor) || fed.count(TensorRef::Parse(tensor).ToString()) == 0;
  };
  std::vector<std::string> start;
  std::copy_if(fetches.begin(), fetches.end(), std::back_inserter(start), computed);
  graph_.Walk(
      std::move(start), [this](const tf::NodeDef& node) { needed_.insert(node.name()); },
      [&](const tf::NodeDef&, const std::string& input) { return computed(input); });
}

void NeededNodes::AddFed(const std::string& name) {
  const tf::NodeDef* node = graph_.Find(name);
  if (node != nullptr && HasOneOutput(*node)) {
    fed_.insert(name);
  } else {
    Add(name);
  }
}

const std::set<std::string>& NeededNodes::Handles(const std::string& name) const {
  const auto [entry, fresh] = handles_.emplace(name, std::set<std::string>());
  if (!fresh) return entry->second;
  std::set<std::string> handles;
  const tf::NodeDef* node = graph_.Find(name);
  for (int i = 0; node != nullptr && i < node->input_size(); ++i) {
    if (IsControl(node->input(i))) continue;
    const tf::NodeDef* source = graph_.Source(node->input(i));
    // A damaged graph may contain a cycle.
    for (std::size_t steps = 0; source != nullptr && PassesOn(*source) && source->input_size() > 0; ++steps) {
      source =
          steps < static_cast<std::size_t>(graph_.nodes().size()) ? graph_.Source(source->input(0)) : nullptr;
    }
    if (source != nullptr && MakesHandle(*source)) handles.insert(source->name());
  }
  return handles_[name] = std::move(handles);
}

bool NeededNodes::TouchesUnneededOnly(const std::string& node) const {
  const std::set<std::string>& handles = Handles(node);
  return !handles.empty() && std::none_of(handles.begin(), handles.end(),
                                          [this](const std::string& handle) { return Has(handle); });
}

bool NeededNodes::AddEffects(const std::string& start) {
  const std::size_t before = needed_.size();
  graph_.Walk(
      {start}, [this](const tf::NodeDef& node) { needed_.insert(node.name()); },
      [this](const tf::NodeDef&, const std::string& input) {
        return !IsControl(input) || !TouchesUnneededOnly(NodeOf(input));
      });
  return needed_.size() > before;
}

bool NeededNodes::ReadsUnneeded(const std::string& tensor) const {
  bool reads = false;
  graph_.Walk({tensor}, [&](const tf::NodeDef& node) { reads |= MakesHandle(node) && !Has(node.name()); });
  return reads;
}

}  // namespace savedmodel::engine::edit
