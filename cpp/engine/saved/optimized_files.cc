// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/optimized_files.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/executor/executable_graph.h"
#include "engine/saved/mapped_weights.h"
#include "engine/saved/records.h"
#include "engine/status.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kGraphsFile[] = "graphs.pb";
constexpr char kWeightsFile[] = "weights.bin";
constexpr std::int64_t kFormat = 1;

template <typename Nodes>
bool NamesResources(const Nodes& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [](const tf::NodeDef& node) {
    const tf::OpDef* op = nullptr;
    if (!tf::OpRegistry::Global()->LookUpOpDef(node.op(), &op).ok()) return false;  // a function
    return std::any_of(op->attr().begin(), op->attr().end(), [](const tf::OpDef::AttrDef& attr) {
      return attr.name() == "shared_name" || attr.name() == "container";
    });
  });
}

bool IsStandalone(const tf::GraphDef& graph) {
  const auto& functions = graph.library().function();
  return !NamesResources(graph.node()) &&
         std::none_of(functions.begin(), functions.end(),
                      [](const tf::FunctionDef& function) { return NamesResources(function.node_def()); });
}

// Two signatures fold the same weights, each for itself.
bool IsSame(const tf::Tensor& a, const tf::Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.data() == b.data() || std::memcmp(a.data(), b.data(), a.TotalBytes()) == 0);
}

std::string Difference(const Origin& saved, const Origin& here) {
  for (const auto& [topic, value] : here) {
    const auto found = saved.find(topic);
    if (found != saved.end() && found->second == value) continue;
    return "made for " + topic + " '" + (found == saved.end() ? "" : found->second) + "', not '" + value +
           "'";
  }
  return "";
}

}  // namespace

bool OptimizedFiles::Exist(const std::string& path) {
  return tf::Env::Default()->FileExists(tf::io::JoinPath(path, kOptimizedDirectory, kGraphsFile)).ok();
}

std::unique_ptr<const OptimizedFiles> OptimizedFiles::Read(const std::string& path, const Origin& origin,
                                                           std::string* why_not) {
  const std::string folder = tf::io::JoinPath(path, kOptimizedDirectory);
  try {
    tf::SavedModel proto;
    ThrowIfError(tf::ReadBinaryProto(tf::Env::Default(), tf::io::JoinPath(folder, kGraphsFile), &proto));
    if (proto.saved_model_schema_version() != kFormat || proto.meta_graphs().empty()) {
      throw Error(Code::kFailedPrecondition, "another version of savedmodel wrote it");
    }
    const Manifest manifest = ReadManifest(proto.meta_graphs(0));
    if (std::string difference = Difference(manifest.origin, origin); !difference.empty()) {
      throw Error(Code::kFailedPrecondition, difference);
    }
    std::unique_ptr<OptimizedFiles> files(new OptimizedFiles);
    for (int i = 1; i < proto.meta_graphs_size(); ++i) {
      files->functions_.push_back(ReadFunction(proto.mutable_meta_graphs(i)));
    }
    for (const tf::Tensor& weight : MapWeights(tf::io::JoinPath(folder, kWeightsFile), manifest.weights)) {
      files->pool_.Append(weight);
    }
    return files;
  } catch (const Error& error) {
    *why_not = error.what();
    return nullptr;
  }
}

const OptimizedFunction* OptimizedFiles::Find(const FunctionGraph& function) const {
  for (const OptimizedFunction& candidate : functions_) {
    const FunctionGraph& known = candidate.function;
    if (known.feeds != function.feeds || known.feed_types != function.feed_types) continue;
    if (std::all_of(function.fetches.begin(), function.fetches.end(), [&](const std::string& fetch) {
          return std::find(known.fetches.begin(), known.fetches.end(), fetch) != known.fetches.end();
        })) {
      return &candidate;
    }
  }
  return nullptr;
}

std::vector<std::string> OptimizedFiles::Fetches(const OptimizedFunction& found,
                                                 const FunctionGraph& function) {
  std::vector<std::string> fetches;
  const std::vector<std::string>& known = found.function.fetches;
  for (const std::string& fetch : function.fetches) {
    const auto place = std::find(known.begin(), known.end(), fetch) - known.begin();
    fetches.push_back(found.isolated.fetches[static_cast<std::size_t>(place)]);
  }
  return fetches;
}

bool OptimizedFiles::has_standalone() const {
  return std::any_of(functions_.begin(), functions_.end(),
                     [](const OptimizedFunction& function) { return function.standalone; });
}

void OptimizedWriter::Add(OptimizedFunction function, const ConstantPool& pool) {
  IsolatedGraph& isolated = function.isolated;
  isolated.graph = Prune(isolated.graph, isolated.feeds, isolated.fetches);
  for (tf::NodeDef& node : *isolated.graph.mutable_node()) {
    const tf::Tensor* value = pool.Find(node);
    if (value == nullptr) continue;
    auto known = std::find_if(weights_.begin(), weights_.end(),
                              [&](const tf::Tensor& weight) { return IsSame(weight, *value); });
    if (known == weights_.end()) known = weights_.insert(weights_.end(), *value);
    ConstantPool::SetNumber(known - weights_.begin(), &node);
  }
  function.standalone = IsStandalone(isolated.graph);
  functions_.push_back(std::move(function));
}

void OptimizedWriter::Write(const std::string& path, const Origin& origin) const {
  tf::Env* env = tf::Env::Default();
  const std::string folder = tf::io::JoinPath(path, kOptimizedDirectory);
  const std::string fresh = folder + ".new-" + std::to_string(env->NowNanos());
  ThrowIfError(env->RecursivelyCreateDir(fresh), "'" + fresh + "'");
  tf::SavedModel proto;
  proto.set_saved_model_schema_version(kFormat);
  WriteManifest({origin, WriteWeights(tf::io::JoinPath(fresh, kWeightsFile), weights_)},
                proto.add_meta_graphs());
  for (const OptimizedFunction& function : functions_) WriteFunction(function, proto.add_meta_graphs());
  ThrowIfError(tf::WriteBinaryProto(env, tf::io::JoinPath(fresh, kGraphsFile), proto), "'" + fresh + "'");
  if (env->FileExists(folder).ok()) {
    std::int64_t files = 0;
    std::int64_t folders = 0;
    ThrowIfError(env->DeleteRecursively(folder, &files, &folders), "'" + folder + "'");
  }
  ThrowIfError(env->RenameFile(fresh, folder), "'" + folder + "'");
}

}  // namespace savedmodel::engine
