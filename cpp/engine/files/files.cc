// SPDX-License-Identifier: Apache-2.0
#include "engine/files/files.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "engine/base/paths.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/graph/attributes.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/cc/saved_model/reader.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"
#include "tensorflow/core/protobuf/tensor_bundle.pb.h"
#include "tensorflow/core/util/tensor_bundle/naming.h"
#include "tensorflow/core/util/tensor_bundle/tensor_bundle.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

std::string DescribeDirectory(const std::string& path) {
  std::vector<std::string> children;
  const absl::Status listed = tf::Env::Default()->GetChildren(path, &children);
  if (!listed.ok()) return "; it can't be listed: " + std::string(listed.message());
  if (children.empty()) return "; it is empty";
  std::sort(children.begin(), children.end());
  for (const std::string& child : children) {  // the layout of a model server: one folder per version
    const bool number = child.find_first_not_of("0123456789") == std::string::npos;
    if (number &&
        tf::Env::Default()->FileExists(tf::io::JoinPath(path, child, tf::kSavedModelFilenamePb)).ok()) {
      return "; did you mean " + Quote(tf::io::JoinPath(path, child)) + "?";
    }
  }
  std::string text = "; it holds ";
  for (std::size_t i = 0; i < children.size() && i < 5; ++i) text += (i ? ", " : "") + children[i];
  return text + (children.size() > 5 ? ", ..." : "");
}

void CheckAssetPaths(const std::string& path, const tf::MetaGraphDef& meta_graph) {
  for (const tf::AssetFileDef& asset : AssetFiles(meta_graph)) {
    if (!StaysInside(asset)) {
      throw Error(Code::kInvalidArgument, Quote(path) + ": the asset " + Quote(asset.filename()) +
                                              " lies outside of the SavedModel's assets folder");
    }
  }
}

// The names of the tensors that the restore op reads from the variables files.
class RestoredNames {
 public:
  explicit RestoredNames(const tf::MetaGraphDef& meta_graph) : functions_(meta_graph.graph_def().library()) {
    const std::string& restore = meta_graph.saver_def().restore_op_name();
    const GraphView graph(meta_graph.graph_def());
    graph.Walk({restore}, [&](const tf::NodeDef& node) { VisitNode(graph, node); });
  }
  const std::set<std::string>& names() const { return names_; }

 private:
  void VisitNode(const GraphView& graph, const tf::NodeDef& node) {
    for (const tf::FunctionDef* function : functions_.NamedBy(node)) {
      if (!visited_.insert(function).second) continue;
      const GraphView body(*function);
      for (const tf::NodeDef& member : body.nodes()) VisitNode(body, member);
    }
    if (node.op() != "RestoreV2" || node.input_size() < 2) return;
    const tf::NodeDef* constant = graph.Source(node.input(1));
    const auto value = constant == nullptr ? std::nullopt : ConstValue(*constant);
    if (!value || value->dtype() != tf::DT_STRING) return;
    const auto flat = value->flat<tf::tstring>();
    for (Eigen::Index i = 0; i < flat.size(); ++i) names_.insert(std::string(flat(i)));
  }
  FunctionIndex functions_;
  std::set<const tf::FunctionDef*> visited_;
  std::set<std::string> names_;
};

// The length that each data file needs for its tensors in the index.
std::vector<std::uint64_t> NeededShardSizes(const std::string& prefix) {
  tf::BundleReader reader(tf::Env::Default(), prefix);
  ThrowIfError(reader.status(), Quote(tf::MetaFilename(prefix)));
  std::vector<std::uint64_t> needed;
  for (reader.Seek(""); reader.Valid(); reader.Next()) {
    if (reader.key().empty()) {
      tf::BundleHeaderProto header;
      if (header.ParseFromArray(reader.value().data(), static_cast<int>(reader.value().size()))) {
        needed.resize(static_cast<std::size_t>(std::clamp(header.num_shards(), 0, 1 << 20)));
      }
      continue;
    }
    tf::BundleEntryProto entry;
    if (!entry.ParseFromArray(reader.value().data(), static_cast<int>(reader.value().size()))) {
      throw Error(Code::kDataLoss, Quote(tf::MetaFilename(prefix)) + " is corrupted at the entry " +
                                       Quote(std::string(reader.key())));
    }
    if (entry.slices_size() > 0) continue;  // its slices have their own entries
    const auto shard = static_cast<std::size_t>(entry.shard_id());
    if (shard < needed.size()) {
      needed[shard] = std::max(needed[shard], static_cast<std::uint64_t>(entry.offset() + entry.size()));
    }
  }
  return needed;
}

void CheckVariables(const std::string& path, const tf::MetaGraphDef& meta_graph) {
  std::set<std::string> restored = RestoredTensors(meta_graph);
  restored.erase(std::string(tf::kObjectGraphProtoKey));
  const std::string prefix =
      tf::io::JoinPath(path, tf::kSavedModelVariablesDirectory, tf::kSavedModelVariablesFilename);
  const std::string index = tf::MetaFilename(prefix);
  if (restored.empty()) return;
  if (!tf::Env::Default()->FileExists(index).ok()) {
    throw Error(Code::kNotFound, Quote(index) + " is missing, and the graph restores " +
                                     std::to_string(restored.size()) + " variables from it (such as " +
                                     Quote(*restored.begin()) + "); is the copy complete?");
  }
  CheckRegularFile(index);
  const std::vector<std::uint64_t> needed = NeededShardSizes(prefix);
  for (std::size_t shard = 0; shard < needed.size(); ++shard) {
    const std::string file =
        tf::DataFilename(prefix, static_cast<int>(shard), static_cast<int>(needed.size()));
    std::uint64_t size = 0;
    if (!tf::Env::Default()->GetFileSize(file, &size).ok()) {
      throw Error(Code::kNotFound, Quote(file) + " is missing; is the copy complete?");
    }
    CheckRegularFile(file);
    if (size < needed[shard]) {
      throw Error(Code::kDataLoss, Quote(file) + " is " + std::to_string(size) +
                                       " bytes long, and the index needs " + std::to_string(needed[shard]) +
                                       "; is the copy complete?");
    }
  }
}

void ListInto(const std::string& root, const std::string& below, int depth,
              std::map<std::string, std::int64_t>* files) {
  std::vector<std::string> children;
  if (depth > 8 || !tf::Env::Default()->GetChildren(tf::io::JoinPath(root, below), &children).ok()) return;
  for (const std::string& child : children) {
    const std::string relative = below.empty() ? child : tf::io::JoinPath(below, child);
    const std::string full = tf::io::JoinPath(root, relative);
    std::uint64_t size = 0;
    if (tf::Env::Default()->IsDirectory(full).ok()) {
      ListInto(root, relative, depth + 1, files);
    } else if (tf::Env::Default()->GetFileSize(full, &size).ok()) {
      (*files)[relative] = static_cast<std::int64_t>(size);
    }
  }
}

}  // namespace

tf::SavedModel ReadSavedModelProto(const std::string& path) {
  tf::Env* env = tf::Env::Default();
  CheckDirectory(path);
  std::string found;
  for (const char* name :
       {tf::kSavedModelFilenameCpb, tf::kSavedModelFilenamePb, tf::kSavedModelFilenamePbTxt}) {
    if (env->FileExists(tf::io::JoinPath(path, name)).ok()) found = name;
  }
  if (found.empty()) {
    throw Error(Code::kNotFound, Quote(path) +
                                     " is not a SavedModel: it has no saved_model.pb, .pbtxt or .cpb" +
                                     DescribeDirectory(path));
  }
  CheckRegularFile(tf::io::JoinPath(path, found));
  tf::SavedModel proto;
  const absl::Status status = tf::ReadSavedModel(path, &proto);
  if (!status.ok()) {
    const bool denied = absl::IsPermissionDenied(status) || absl::IsUnavailable(status);
    ThrowIfError(status, Quote(tf::io::JoinPath(path, found)) +
                             (denied ? " can't be read"
                                     : " can't be read as a SavedModel, it may be truncated or corrupted"));
  }
  if (proto.meta_graphs().empty()) {
    throw Error(Code::kDataLoss,
                Quote(tf::io::JoinPath(path, found)) + " holds no MetaGraph: it is empty or corrupted");
  }
  return proto;
}

std::vector<tf::AssetFileDef> AssetFiles(const tf::MetaGraphDef& meta_graph) {
  std::vector<tf::AssetFileDef> assets(meta_graph.asset_file_def().begin(),
                                       meta_graph.asset_file_def().end());
  const auto collection = meta_graph.collection_def().find(tf::kSavedModelAssetsKey);
  if (!assets.empty() || collection == meta_graph.collection_def().end()) return assets;
  for (const auto& any : collection->second.any_list().value()) {
    tf::AssetFileDef asset;
    if (any.UnpackTo(&asset)) assets.push_back(asset);
  }
  return assets;
}

bool StaysInside(const tf::AssetFileDef& asset) {
  const std::string clean = tf::io::CleanPath(tf::io::JoinPath("assets", asset.filename()));
  return clean.rfind("assets/", 0) == 0 && !tf::io::IsAbsolutePath(asset.filename());
}

std::set<std::string> RestoredTensors(const tf::MetaGraphDef& meta_graph) {
  return RestoredNames(meta_graph).names();
}

void CheckFiles(const std::string& path, const tf::MetaGraphDef& meta_graph) {
  CheckAssetPaths(path, meta_graph);
  CheckVariables(path, meta_graph);
}

std::map<std::string, std::int64_t> ListFiles(const std::string& path) {
  std::map<std::string, std::int64_t> files;
  ListInto(path, "", 0, &files);
  return files;
}

}  // namespace savedmodel::engine
