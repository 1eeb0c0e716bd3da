// SPDX-License-Identifier: Apache-2.0
#include "engine/objects/object_tensors.h"

#include <set>
#include <utility>
#include <vector>

#include "engine/files/files.h"
#include "engine/graph/attributes.h"
#include "engine/graph/graph_view.h"
#include "engine/graph/provenance.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"
#include "tensorflow/core/protobuf/trackable_object_graph.pb.h"
#include "tensorflow/core/util/tensor_bundle/naming.h"
#include "tensorflow/core/util/tensor_bundle/tensor_bundle.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool ReadTrackableGraph(const std::string& path, tf::TrackableObjectGraph* graph) {
  const std::string prefix =
      tf::io::JoinPath(path, tf::kSavedModelVariablesDirectory, tf::kSavedModelVariablesFilename);
  if (!tf::Env::Default()->FileExists(tf::MetaFilename(prefix)).ok()) return false;
  tf::BundleReader reader(tf::Env::Default(), prefix);
  tf::DataType dtype = tf::DT_INVALID;
  tf::TensorShape shape;
  if (!reader.status().ok() || !reader.Contains(tf::kObjectGraphProtoKey) ||
      !reader.LookupDtypeAndShape(tf::kObjectGraphProtoKey, &dtype, &shape).ok() || dtype != tf::DT_STRING ||
      shape.num_elements() != 1) {
    return false;
  }
  tf::Tensor value(dtype, shape);
  return reader.Lookup(tf::kObjectGraphProtoKey, &value).ok() &&
         graph->ParseFromString(std::string(value.flat<tf::tstring>()(0)));
}

bool StartsWith(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

}  // namespace

std::map<std::string, std::string> RestoredHandles(const tf::SaverDef& saver, GraphWalk* walk) {
  std::map<std::string, std::string> handles;
  const std::string& restore = saver.restore_op_name();
  if (restore.empty()) return handles;
  walk->Run({restore}, {}, [&](const tf::NodeDef&, const std::vector<TensorOrigin>& inputs) {
    if (inputs.empty() || inputs[0].tensor.empty() || !inputs[0].key.empty()) return;
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (!inputs[i].key.empty()) handles.emplace(inputs[i].key, inputs[0].tensor);
    }
  });
  return handles;
}

std::map<int, std::string> CheckpointKeys(const std::string& path, const tf::SavedObjectGraph& objects) {
  std::map<int, std::string> keys;
  tf::TrackableObjectGraph saved;
  if (objects.nodes_size() == 0 || !ReadTrackableGraph(path, &saved) || saved.nodes_size() == 0) return keys;
  // The same attribute path leads to the same object in both graphs.
  std::set<int> seen{0};
  std::vector<std::pair<int, int>> pending{{0, 0}};
  while (!pending.empty()) {
    const auto [object, trackable] = pending.back();
    pending.pop_back();
    const auto& attributes = saved.nodes(trackable).attributes();
    if (!attributes.empty()) keys.emplace(object, attributes[0].checkpoint_key());
    std::map<std::string, int> children;
    for (const auto& child : saved.nodes(trackable).children()) {
      children.emplace(child.local_name(), child.node_id());
    }
    for (const auto& child : objects.nodes(object).children()) {
      const auto found = children.find(child.local_name());
      if (found == children.end() || child.node_id() < 0 || child.node_id() >= objects.nodes_size() ||
          found->second < 0 || found->second >= saved.nodes_size()) {
        continue;
      }
      if (seen.insert(child.node_id()).second) pending.emplace_back(child.node_id(), found->second);
    }
  }
  return keys;
}

std::map<std::string, int> CapturedObjects(const tf::SavedObjectGraph& objects, const tf::GraphDef& graph,
                                           GraphWalk* walk) {
  const auto& concrete = objects.concrete_functions();
  std::map<std::string, int> captured;
  for (const tf::NodeDef& node : graph.node()) {
    const tf::AttrValue* function = FindAttr(node, "f");
    const auto called = concrete.find(function == nullptr ? node.op() : function->func().name());
    if (called == concrete.end()) continue;
    walk->One(node, [&](const tf::NodeDef&, const std::vector<TensorOrigin>& inputs) {
      const auto& bound = called->second.bound_inputs();
      const auto count = static_cast<std::size_t>(bound.size());
      for (std::size_t i = 0; i < count && count <= inputs.size(); ++i) {
        const std::string& tensor = inputs[inputs.size() - count + i].tensor;
        if (!tensor.empty()) captured.emplace(tensor, bound[static_cast<int>(i)]);
      }
    });
  }
  return captured;
}

std::map<int, std::string> ObjectTensors(const std::string& path, const tf::MetaGraphDef& meta_graph,
                                         const tf::GraphDef& graph) {
  const tf::SavedObjectGraph& objects = meta_graph.object_graph_def();
  std::map<int, std::string> tensors;
  GraphWalk walk(graph);
  for (int i = 0; i < objects.nodes_size(); ++i) {
    if (objects.nodes(i).has_constant()) tensors.emplace(i, objects.nodes(i).constant().operation() + ":0");
  }
  const auto restored = RestoredHandles(meta_graph.saver_def(), &walk);
  for (const auto& [object, key] : CheckpointKeys(path, objects)) {
    if (objects.nodes(object).has_variable()) {
      const auto handle = restored.find(key);
      if (handle != restored.end()) tensors.emplace(object, handle->second);
      continue;
    }
    const auto handle = restored.lower_bound(key);  // a table's values have their own keys
    if (!key.empty() && handle != restored.end() && StartsWith(handle->first, key)) {
      tensors.emplace(object, handle->second);
    }
  }
  const std::vector<tf::AssetFileDef> assets = AssetFiles(meta_graph);
  for (int i = 0; i < objects.nodes_size(); ++i) {
    if (!objects.nodes(i).has_asset()) continue;
    const int index = objects.nodes(i).asset().asset_file_def_index();
    if (index < 0 || static_cast<std::size_t>(index) >= assets.size()) continue;
    const std::string path_tensor = assets[static_cast<std::size_t>(index)].tensor_info().name();
    for (const tf::NodeDef& node : graph.node()) {
      if (node.op() != "AssignVariableOp" || node.input_size() < 2) continue;
      if (NodeOf(node.input(1)) == NodeOf(path_tensor)) {
        tensors.emplace(i, NodeOf(node.input(0)) + ":0");
      }
    }
  }
  for (const auto& [tensor, object] : CapturedObjects(objects, graph, &walk)) {
    if (object < 0 || object >= objects.nodes_size() || objects.nodes(object).has_asset()) continue;
    tensors.emplace(object, tensor);
  }
  return tensors;
}

}  // namespace savedmodel::engine
