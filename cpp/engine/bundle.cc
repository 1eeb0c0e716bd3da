// SPDX-License-Identifier: Apache-2.0
#include "engine/bundle.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "engine/files.h"
#include "engine/function.h"
#include "engine/optimize/variable_use.h"
#include "engine/options.h"
#include "engine/placement.h"
#include "engine/session.h"
#include "engine/signatures.h"
#include "engine/status.h"
#include "engine/variables.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/util/device_name_utils.h"

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

// `device` may leave out the job, replica and task.
bool SameDevice(const std::string& device, const std::string& full_name) {
  tf::DeviceNameUtils::ParsedName pattern;
  tf::DeviceNameUtils::ParsedName name;
  return tf::DeviceNameUtils::ParseFullOrLocalName(device, &pattern) &&
         tf::DeviceNameUtils::ParseFullName(full_name, &name) &&
         tf::DeviceNameUtils::IsCompleteSpecification(pattern, name);
}

void OpenOpLibraries(const std::vector<std::string>& libraries) {
  for (const std::string& library : libraries) {
    // Registering one a second time is an error of TensorFlow's registry only for another file.
    void* handle = nullptr;
    ThrowIfError(tf::Env::Default()->LoadDynamicLibrary(library.c_str(), &handle),
                 "op library '" + library + "'");
    ThrowIfError(tf::OpRegistry::Global()->ProcessRegistrations(), "op library '" + library + "'");
  }
}

// Before the load: with soft placement TensorFlow would put the nodes elsewhere without a word.
void CheckDeviceExists(const std::string& device, const tf::SessionOptions& options) {
  std::unique_ptr<tf::Session> session(tf::NewSession(options));
  if (session == nullptr) throw Error(Code::kInternal, "TensorFlow made no session");
  std::vector<tf::DeviceAttributes> devices;
  ThrowIfError(session->ListDevices(&devices));
  session->Close().IgnoreError();
  std::string known;
  for (const tf::DeviceAttributes& existing : devices) {
    if (SameDevice(device, existing.name())) return;
    const std::string& name = existing.name();
    const auto local = name.find("/device:");
    known += (known.empty() ? "" : ", ") + (local == std::string::npos ? name : name.substr(local));
  }
  throw Error(Code::kInvalidArgument, "there is no device '" + device + "' here; there is: " + known);
}

// True if runs may stay in the caller's thread: they need one device, no timeout, and no node that waits for
// another; and the user has not asked for threads.
bool RunsInCaller(const LoadOptions& options, const tf::ConfigProto& config, const tf::RunOptions& given,
                  std::size_t devices, const GraphIndex& graph) {
  return devices == 1 && given.timeout_in_ms() == 0 && config.operation_timeout_in_ms() == 0 &&
         given.inter_op_thread_pool() == 0 && !options.session.inter_op_threads && !graph.has_blocking_ops();
}

// True if functions may have executors of their own, which know no options.
bool MayHaveExecutors(const tf::ConfigProto& config, const tf::RunOptions& given) {
  return given.ByteSizeLong() == 0 && config.experimental().executor_type().empty();
}

bool HasBfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

class Bundle : public internal::EngineModel {
 public:
  Bundle(std::string path, LoadOptions options) : path_(std::move(path)), options_(std::move(options)) {
    Load();
  }
  ~Bundle() override {
    if (shared_ != nullptr) Close();
  }

  const std::map<std::string, Signature>& signatures() const override { return signatures_; }
  const std::map<std::string, TensorSpec>& variables() const override { return shared_->graph.variables(); }
  std::unique_ptr<internal::EngineFunction> Bind(const Signature& signature,
                                                 const std::vector<TensorSpec>& outputs) override {
    return BindFunction(shared_, "signature '" + signature.name + "'", Flatten(signature.inputs),
                        Flatten(outputs));
  }
  std::unique_ptr<internal::EngineFunction> Bind(const std::vector<std::string>& fetches,
                                                 const std::vector<std::string>& feeds) override;
  Tensor ReadVariable(const std::string& name) override;
  std::vector<std::string> devices() override;
  std::map<std::string, std::int64_t> Placement() override;
  void Cancel() override {
    shared_->cancellation.StartCancel();
    std::lock_guard<std::mutex> lock(shared_->mutex);
    if (shared_->session != nullptr) shared_->session->Close().IgnoreError();
  }
  void Close() override {
    std::unique_ptr<IntraOpThreads> threads;  // goes after the session
    std::unique_ptr<tf::Session> session;
    std::map<const GraphExecutor*, std::unique_ptr<GraphExecutor>> executors;  // before the session
    {
      std::lock_guard<std::mutex> lock(shared_->mutex);
      threads = std::move(shared_->threads);
      session = std::move(shared_->session);
      executors.swap(shared_->executors);
      shared_->graph_def.Clear();
    }
    executors.clear();
    if (session != nullptr) session->Close().IgnoreError();
  }

 private:
  void Load();
  tf::MetaGraphDef ReadGraph() const;
  const tf::DeviceMgr* device_manager() const;

  std::string path_;
  LoadOptions options_;
  std::map<std::string, Signature> signatures_;
  std::shared_ptr<SharedSession> shared_;
};

tf::MetaGraphDef Bundle::ReadGraph() const {
  tf::MetaGraphDef meta_graph = SelectMetaGraph(path_, options_.tags);
  if (!options_.device.empty()) AssignDevice(FullDeviceName(options_.device), meta_graph.mutable_graph_def());
  return meta_graph;
}

void Bundle::Load() {
  if (options_.optimize == Optimize::kBf16 && !HasBfloat16()) {
    throw Error(Code::kUnimplemented,
                "optimize bf16: this CPU has no instructions for bfloat16 (AVX512_BF16)");
  }
  const tf::SessionOptions session_options = MakeSessionOptions(options_);
  const tf::RunOptions run_options = MakeRunOptions(options_.run, tf::RunOptions());
  OpenOpLibraries(options_.op_libraries);
  if (!options_.device.empty()) CheckDeviceExists(FullDeviceName(options_.device), session_options);
  tf::MetaGraphDef meta_graph = ReadGraph();
  CheckFiles(path_, meta_graph);

  std::unique_ptr<IntraOpThreads> threads = MakeThreads(options_, session_options.config);
  std::unique_ptr<tf::Session> session;
  ThrowIfError(tf::LoadMetagraphIntoSession(session_options, meta_graph, &session), "'" + path_ + "'");
  if (threads != nullptr) threads->UseFor(*session);
  ThrowIfError(tf::RestoreSession(run_options, meta_graph, path_, &session), "'" + path_ + "'");

  shared_ = std::make_shared<SharedSession>(std::move(threads), std::move(session), meta_graph.graph_def());
  shared_->options = session_options;
  shared_->run_options = run_options;
  if (RunsInCaller(options_, session_options.config, run_options, device_manager()->ListDevices().size(),
                   shared_->graph)) {
    shared_->run_options.set_inter_op_thread_pool(-1);
    shared_->own_executors = MayHaveExecutors(session_options.config, run_options);
    shared_->options.config.mutable_graph_options()->mutable_optimizer_options()->set_do_function_inlining(
        true);
    shared_->optimized_options = shared_->options;
    shared_->optimized_options.config.mutable_graph_options()
        ->mutable_rewrite_options()
        ->set_disable_meta_optimizer(true);
    // Nor must what is left to fold be folded: large constants have their values beside the graph.
    shared_->optimized_options.config.mutable_graph_options()->mutable_optimizer_options()->set_opt_level(
        tf::OptimizerOptions::L0);
  }
  for (auto& [name, signature] : ReadSignatures(meta_graph)) {
    signatures_.emplace(name, Reconcile(signature, shared_->graph));
  }
  if (!shared_->own_executors) return;
  shared_->graph_def.Swap(meta_graph.mutable_graph_def());
  shared_->optimize = options_.optimize;
  if (options_.optimize == Optimize::kNone) return;
  std::vector<std::string> fetches;
  for (const auto& [name, signature] : signatures_) {
    for (const TensorSpec& output : Flatten(signature.outputs)) fetches.push_back(output.name);
  }
  shared_->written = WrittenVariables(shared_->graph_def, fetches);
}

std::unique_ptr<internal::EngineFunction> Bundle::Bind(const std::vector<std::string>& fetches,
                                                       const std::vector<std::string>& feeds) {
  const auto specs = [&](const std::vector<std::string>& names) {
    std::vector<TensorSpec> result;
    for (const std::string& text : names) {
      const TensorName name(text);
      TensorSpec spec;
      spec.key = text;
      spec.name = name.ToString();
      spec.shape = shared_->graph.PlaceholderShape(name);
      result.push_back(std::move(spec));
    }
    return result;
  };
  return BindFunction(shared_, "run by tensor name", specs(feeds), specs(fetches));
}

const tf::DeviceMgr* Bundle::device_manager() const {
  const tf::DeviceMgr* manager = nullptr;
  ThrowIfError(shared_->session->LocalDeviceManager(&manager));
  return manager;
}

Tensor Bundle::ReadVariable(const std::string& name) {
  const auto spec = variables().find(name);
  if (spec == variables().end()) {
    throw UsageError(UsageError::Kind::kName, "no variable '" + name + "' in '" + path_ + "'");
  }
  return ReadVariableValue(*shared_->session, *device_manager(), spec->second, shared_->graph.variable(name),
                           shared_->run_options);
}

std::vector<std::string> Bundle::devices() {
  std::vector<std::string> names;
  for (const tf::Device* device : device_manager()->ListDevices()) names.push_back(device->name());
  return names;
}

std::map<std::string, std::int64_t> Bundle::Placement() {
  return CountPlacement(ReadGraph().graph_def(), device_manager()->ListDevices(),
                        MakeSessionOptions(options_).config.allow_soft_placement());
}

}  // namespace

std::unique_ptr<internal::EngineModel> LoadBundle(const std::string& path, const LoadOptions& options) {
  return std::make_unique<Bundle>(path, options);
}

}  // namespace savedmodel::engine
