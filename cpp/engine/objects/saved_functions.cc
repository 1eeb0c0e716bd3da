// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/saved_functions.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "engine/base/names.h"
#include "engine/objects/structure.h"
#include "tensorflow/core/protobuf/struct.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kSignatures[] = "signatures";

bool IsFunction(const tf::SavedObject& object) {
  return object.has_function() || object.has_bare_concrete_function();
}

void DropSelf(Structure* parameters) {
  for (std::size_t i = 0; i < parameters->keys.size(); ++i) {
    std::vector<Structure>& names = parameters->items[i].items;
    if (parameters->keys[i] == "args" && !names.empty()) names.erase(names.begin());
  }
}

}  // namespace

bool HasFunctions(const tf::SavedObjectGraph& objects) {
  return std::any_of(objects.nodes().begin(), objects.nodes().end(), [](const tf::SavedObject& object) {
    return object.function().concrete_functions_size() > 0;
  });
}

SavedFunctions::SavedFunctions(tf::SavedObjectGraph objects) : objects_(std::move(objects)) {
  if (objects_.nodes_size() == 0) return;
  std::set<int> seen{0};
  std::deque<std::pair<int, std::string>> pending{{0, ""}};
  while (!pending.empty()) {
    const auto [node, path] = pending.front();
    pending.pop_front();
    const tf::SavedObject& object = objects_.nodes(node);
    if (object.has_resource()) continue;  // its functions create and fill it
    for (const auto& child : object.children()) {
      const int id = child.node_id();
      if (id < 0 || id >= objects_.nodes_size() || (node == 0 && child.local_name() == kSignatures)) continue;
      if (!seen.insert(id).second) continue;
      const std::string name = path.empty() ? child.local_name() : path + "." + child.local_name();
      if (IsFunction(objects_.nodes(id))) {
        Add(name, id);
      } else {
        pending.emplace_back(id, name);
      }
    }
  }
}

void SavedFunctions::Add(const std::string& path, int node) {
  const tf::SavedObject& object = objects_.nodes(node);
  SavedFunction function;
  function.path = path;
  const tf::FunctionSpec& spec = object.has_function() ? object.function().function_spec()
                                                       : object.bare_concrete_function().function_spec();
  if (spec.has_fullargspec()) function.parameters = ReadStructure(spec.fullargspec());
  if (spec.is_method()) DropSelf(&function.parameters);
  const auto add = [&](const std::string& name) {
    const auto found = objects_.concrete_functions().find(name);
    if (found == objects_.concrete_functions().end()) return;
    function.traces.push_back(ReadConcreteFunction(name, found->second, function.parameters));
  };
  for (const std::string& name : object.function().concrete_functions()) add(name);
  if (object.has_bare_concrete_function()) add(object.bare_concrete_function().concrete_function_name());
  paths_.emplace(node, path);
  functions_.emplace(path, std::move(function));
}

int SavedFunctions::Resolve(int node, const std::string& path,
                            std::set<std::pair<int, std::string>>* seen) const {
  if (!seen->emplace(node, path).second) return -1;
  for (const auto& child : objects_.nodes(node).children()) {
    const std::string& name = child.local_name();
    if (child.node_id() < 0 || child.node_id() >= objects_.nodes_size()) continue;
    if (path == name && paths_.count(child.node_id()) > 0) return child.node_id();
    if (path.rfind(name + ".", 0) != 0) continue;
    const int found = Resolve(child.node_id(), path.substr(name.size() + 1), seen);
    if (found >= 0) return found;
  }
  return -1;
}

const SavedFunction& SavedFunctions::Find(const std::string& path) const {
  const auto known = functions_.find(path);
  if (known != functions_.end()) return known->second;
  std::set<std::pair<int, std::string>> seen;
  const int node = objects_.nodes_size() == 0 ? -1 : Resolve(0, path, &seen);
  if (node < 0) ThrowNoSuch("function", path, Keys(functions_));
  return functions_.at(paths_.at(node));
}

}  // namespace savedmodel::engine
