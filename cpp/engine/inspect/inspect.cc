// SPDX-License-Identifier: Apache-2.0
#include "engine/inspect/inspect.h"

#include <utility>

#include "engine/files/files.h"
#include "engine/graph/graph.h"
#include "engine/graph/signatures.h"
#include "engine/inspect/op_uses.h"
#include "engine/objects/mend.h"
#include "engine/objects/object_graph.h"
#include "tensorflow/cc/saved_model/fingerprinting.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/versions.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

MetaGraphInfo InspectMetaGraph(const tf::MetaGraphDef& meta_graph,
                               const std::map<std::string, std::int64_t>& files) {
  const tf::GraphDef& graph = meta_graph.graph_def();
  MetaGraphInfo info;
  info.tags = {meta_graph.meta_info_def().tags().begin(), meta_graph.meta_info_def().tags().end()};
  info.signatures = ReadSignatures(meta_graph);
  info.variables = GraphIndex(graph).variables();
  info.tensorflow_version = meta_graph.meta_info_def().tensorflow_version();
  info.producer = graph.versions().producer();
  info.min_consumer = graph.versions().min_consumer();
  info.num_nodes = graph.node_size();
  info.num_functions = graph.library().function_size();
  info.init_op = InitOpOf(meta_graph);
  info.op_uses = CountOpUses(meta_graph);
  for (const auto& [op, use] : info.op_uses) info.ops.insert(op.substr(0, op.find(':')));
  info.concrete_functions = ReadConcreteFunctions(meta_graph.object_graph_def());
  for (const tf::AssetFileDef& asset : AssetFiles(meta_graph)) {
    const auto file = files.find("assets/" + asset.filename());
    info.assets.push_back(
        {asset.filename(), asset.tensor_info().name(), file == files.end() ? -1 : file->second});
  }
  return info;
}

}  // namespace

Inspection InspectSavedModel(const std::string& path) {
  tf::SavedModel proto = ReadSavedModelProto(path);
  Inspection inspection;
  inspection.path = path;
  inspection.files = ListFiles(path);
  for (const auto& [name, bytes] : inspection.files) inspection.size_bytes += bytes;
  for (tf::MetaGraphDef& meta_graph : *proto.mutable_meta_graphs()) {
    MendVariables(path, &meta_graph);
    inspection.meta_graphs.push_back(InspectMetaGraph(meta_graph, inspection.files));
  }
  const auto fingerprint = tf::saved_model::fingerprinting::ReadSavedModelFingerprint(path);
  if (fingerprint.ok()) {
    inspection.fingerprint =
        Fingerprint{fingerprint->saved_model_checksum(), fingerprint->graph_def_program_hash(),
                    fingerprint->signature_def_hash(),   fingerprint->saved_object_graph_hash(),
                    fingerprint->checkpoint_hash(),      fingerprint->uuid()};
  }
  return inspection;
}

}  // namespace savedmodel::engine
