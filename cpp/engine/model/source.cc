// SPDX-License-Identifier: Apache-2.0
#include "engine/model/source.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "engine/base/logging.h"
#include "engine/base/options.h"
#include "engine/base/status.h"
#include "engine/base/trace.h"
#include "engine/executor/stateful.h"
#include "engine/files/files.h"
#include "engine/graph/op_libraries.h"
#include "engine/graph/placement.h"
#include "engine/model/restore.h"
#include "engine/objects/mend.h"
#include "engine/objects/saved_functions.h"
#include "engine/optimize/epsilon.h"
#include "engine/optimize/factors.h"
#include "engine/saved/fingerprint.h"
#include "engine/threads/float_mode.h"
#include "savedmodel/runtime.h"
#include "savedmodel/version.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/common_runtime/device_factory.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/lib/strings/proto_serialization.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

std::string TagSet(const std::set<std::string>& tags) {
  std::string text;
  for (const std::string& tag : tags) text += (text.empty() ? "'" : ", '") + tag + "'";
  return "{" + text + "}";
}

std::set<std::string> TagsOf(const tf::MetaGraphDef& meta_graph) {
  return {meta_graph.meta_info_def().tags().begin(), meta_graph.meta_info_def().tags().end()};
}

// What a link or a relative path leads to now, so that all that is read belongs to one model. The path itself
// if it is no local file.
std::string RealPath(const std::string& path) {
  std::error_code failed;
  const std::filesystem::path real = std::filesystem::canonical(path, failed);
  return failed ? path : real.string();
}

tf::MetaGraphDef SelectMetaGraph(const std::string& path, const std::set<std::string>& tags) {
  tf::SavedModel proto = ReadSavedModelProto(path);
  std::string known;
  for (tf::MetaGraphDef& meta_graph : *proto.mutable_meta_graphs()) {
    if (TagsOf(meta_graph) == tags) return std::move(meta_graph);
    known += (known.empty() ? "" : ", ") + TagSet(TagsOf(meta_graph));
  }
  throw Error(Code::kNotFound,
              "'" + path + "' has no MetaGraph with the tags " + TagSet(tags) + "; its tag sets: " + known);
}

const char* NameOf(Optimize level) {
  switch (level) {
    case Optimize::kNone:
      return "none";
    case Optimize::kBf16:
      return "bf16";
    case Optimize::kInt8:
      return "int8";
    default:
      return "default";
  }
}

}  // namespace

ModelSource::ModelSource(const std::string& path, LoadOptions options)
    : path_(RealPath(path)),
      options_(std::move(options)),
      session_options_(MakeSessionOptions(options_)),
      run_options_(MakeRunOptions(options_.run, tf::RunOptions())) {}

std::string ModelSource::full_device() const {
  return options_.device.empty() ? "" : FullDeviceName(options_.device);
}

tf::MetaGraphDef ModelSource::ReadGraph() const {
  tf::MetaGraphDef meta_graph = SelectMetaGraph(path_, options_.tags);
  if (!options_.device.empty()) AssignDevice(full_device(), meta_graph.mutable_graph_def());
  NameTables(meta_graph.mutable_graph_def());
  return meta_graph;
}

tf::MetaGraphDef ModelSource::ReadAgain() const {
  CheckUnchanged();
  tf::MetaGraphDef meta_graph = ReadGraph();
  MendVariables(path_, &meta_graph);
  return meta_graph;
}

Origin ModelSource::MakeOrigin(Optimize level) const {
  std::string config;
  tf::SerializeToStringDeterministic(session_options_.config, &config);
  std::string optimize = NameOf(level);
  if (level == Optimize::kInt8) {
    for (const std::string& layer : options_.float32_layers) optimize += ", not " + layer;
  }
  return {{kModelTopic, SourceFingerprint(path_)},
          {"tags", TagSet(options_.tags)},
          {"optimize", optimize},
          {"session options", absl::CEscape(config)},
          {"savedmodel", Version()},
          {"TensorFlow", TF_Version()},
          {"CPU", CpuKind()}};
}

void ModelSource::CheckUnchanged() const {
  if (fingerprint_.empty()) return;
  std::error_code ignored;
  const bool gone = path_.find("://") == std::string::npos && !std::filesystem::exists(path_, ignored);
  if (gone || SourceFingerprint(path_) != fingerprint_) {
    throw Error(Code::kFailedPrecondition,
                "'" + path_ + "' " + (gone ? "is not there any more" : "has changed since it was loaded") +
                    ", and has to be read again (SAVEDMODEL_KEEP_VARIABLES=1 keeps variables in memory)");
  }
}

std::unique_ptr<tf::DeviceMgr> ModelSource::MakeDevices() const {
  std::vector<std::unique_ptr<tf::Device>> devices;
  ThrowIfError(tf::DeviceFactory::AddDevices(session_options_, "/job:localhost/replica:0/task:0", &devices));
  return std::make_unique<tf::StaticDeviceMgr>(std::move(devices));
}

OpenedSession ModelSource::Open(tf::MetaGraphDef meta_graph, IntraOpThreads* threads) const {
  const QuietInfo quiet;
  CheckUnchanged();
  const FloatMode mode;
  OpenedSession opened;
  tf::SessionOptions options = session_options_;
  // Calls of functions are added to the graph when a session has to run them.
  if (HasFunctions(meta_graph.object_graph_def())) {
    options.config.mutable_experimental()->set_disable_optimize_for_static_graph(true);
  }
  LeaveOutFolding(meta_graph.graph_def(), &options.config);
  LeaveOutRemapping(meta_graph.graph_def(), &options.config);
  ThrowIfError(tf::LoadMetagraphIntoSession(options, meta_graph, &opened.session), "'" + path_ + "'");
  const tf::DeviceMgr* devices = nullptr;
  ThrowIfError(opened.session->LocalDeviceManager(&devices));
  if (threads != nullptr) threads->UseFor(*devices);
  const TraceTurn turn(run_options_);
  opened.path = std::make_unique<PlainPath>(path_);
  Restore(options, run_options_, meta_graph, opened.path->name(), &opened.session);
  CheckUnchanged();  // a publisher may have replaced the model meanwhile
  opened.graph.Swap(meta_graph.mutable_graph_def());
  return opened;
}

}  // namespace savedmodel::engine
