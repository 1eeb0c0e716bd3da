// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/optimized_files.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/status.h"
#include "engine/files/files.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/variable_use.h"
#include "engine/saved/mapped_weights.h"
#include "engine/saved/records.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/lib/hash/crc32c.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kGraphsFile[] = "graphs.pb";
constexpr char kWeightsFile[] = "weights.bin";
constexpr std::int64_t kFormat = 5;

// The last field of the file, unknown to TensorFlow's SavedModel: the CRC-32C of all bytes before its four.
constexpr char kChecksumTag[] = "\xc5\x3e";  // number 1000, fixed32
constexpr std::size_t kChecksumBytes = sizeof(std::uint32_t);

// Each signature folds the same weights for itself, so equal constants are common.
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

std::string WithChecksum(std::string bytes) {
  bytes += kChecksumTag;
  const std::uint32_t checksum = tf::crc32c::Value(bytes.data(), bytes.size());
  for (std::size_t i = 0; i < kChecksumBytes; ++i) bytes += static_cast<char>(checksum >> (8 * i));
  return bytes;
}

void CheckChecksum(const std::string& bytes) {
  if (bytes.size() >= kChecksumBytes) {
    const std::size_t end = bytes.size() - kChecksumBytes;
    const std::uint32_t checksum = tf::crc32c::Value(bytes.data(), end);
    std::uint32_t written = 0;
    for (std::size_t i = 0; i < kChecksumBytes; ++i) {
      written |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[end + i])) << (8 * i);
    }
    if (checksum == written) return;
  }
  throw Error(Code::kDataLoss, std::string(kGraphsFile) +
                                   " has a wrong checksum: it is damaged, or another version of savedmodel "
                                   "wrote it");
}

tf::SavedModel ReadGraphs(const std::string& file) {
  std::string bytes;
  ThrowIfError(tf::ReadFileToString(tf::Env::Default(), file, &bytes));
  CheckChecksum(bytes);
  tf::SavedModel proto;
  if (!proto.ParseFromString(bytes)) {
    throw Error(Code::kDataLoss, std::string(kGraphsFile) + " is not a SavedModel proto");
  }
  return proto;
}

}  // namespace

bool OptimizedFiles::Exist(const std::string& path) {
  return tf::Env::Default()->FileExists(tf::io::JoinPath(path, kOptimizedDirectory, kGraphsFile)).ok();
}

std::unique_ptr<const OptimizedFiles> OptimizedFiles::Read(const std::string& path, const Origin& origin,
                                                           std::string* why_not) {
  const std::string folder = tf::io::JoinPath(path, kOptimizedDirectory);
  try {
    tf::SavedModel proto = ReadGraphs(tf::io::JoinPath(folder, kGraphsFile));
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
    files->weights_ = MapWeights(tf::io::JoinPath(folder, kWeightsFile), manifest.weights);
    files->is_local_ = folder.find("://") == std::string::npos;
    for (const tf::Tensor& weight : files->weights_.tensors) files->pool_.Append(weight);
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

void OptimizedFiles::DropMappedPages() const {
  if (is_local_) DropPages(weights_);
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
  std::string graphs;
  if (!proto.SerializeToString(&graphs)) {  // a proto holds at most 2 GB
    throw Error(Code::kResourceExhausted, "'" + fresh + "': the optimized graphs are too large for a file");
  }
  ThrowIfError(tf::WriteStringToFile(env, tf::io::JoinPath(fresh, kGraphsFile), WithChecksum(graphs)),
               "'" + fresh + "'");
  if (env->FileExists(folder).ok()) {
    std::int64_t files = 0;
    std::int64_t folders = 0;
    ThrowIfError(env->DeleteRecursively(folder, &files, &folders), "'" + folder + "'");
  }
  ThrowIfError(env->RenameFile(fresh, folder), "'" + folder + "'");
}

}  // namespace savedmodel::engine
