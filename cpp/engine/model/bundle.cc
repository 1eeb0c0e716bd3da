// SPDX-License-Identifier: Apache-2.0
#include "engine/model/bundle.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "absl/strings/escaping.h"
#include "engine/base/logging.h"
#include "engine/base/options.h"
#include "engine/base/paths.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/trace.h"
#include "engine/executor/stateful.h"
#include "engine/files/copy.h"
#include "engine/files/files.h"
#include "engine/files/graph_checks.h"
#include "engine/graph/op_libraries.h"
#include "engine/graph/placement.h"
#include "engine/graph/plan.h"
#include "engine/graph/signatures.h"
#include "engine/graph/variable_use.h"
#include "engine/graph/variables.h"
#include "engine/inspect/op_uses.h"
#include "engine/model/collector.h"
#include "engine/model/function.h"
#include "engine/model/model_functions.h"
#include "engine/model/prepare.h"
#include "engine/model/restore.h"
#include "engine/model/session.h"
#include "engine/objects/mend.h"
#include "engine/optimize/epsilon.h"
#include "engine/optimize/factors.h"
#include "engine/optimize/grappler.h"
#include "engine/saved/fingerprint.h"
#include "engine/saved/optimized_files.h"
#include "engine/saved/variables.h"
#include "engine/threads/float_mode.h"
#include "savedmodel/runtime.h"
#include "savedmodel/version.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/cc/saved_model/loader_util.h"
#include "tensorflow/core/common_runtime/device_factory.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/lib/strings/proto_serialization.h"
#include "tensorflow/core/platform/env.h"

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

// All that a load needs, for a session that is opened later.
struct Source {
  std::string path;
  LoadOptions options;
  tf::SessionOptions session_options;
  tf::RunOptions run_options;
  std::string fingerprint;  // where what is on disk has to stay the same

  tf::MetaGraphDef ReadGraph() const {
    tf::MetaGraphDef meta_graph = SelectMetaGraph(path, options.tags);
    if (!options.device.empty()) AssignDevice(FullDeviceName(options.device), meta_graph.mutable_graph_def());
    NameTables(meta_graph.mutable_graph_def());
    return meta_graph;
  }
  tf::MetaGraphDef ReadMended() const {
    tf::MetaGraphDef meta_graph = ReadGraph();
    MendVariables(path, &meta_graph);
    return meta_graph;
  }
  Origin MakeOrigin() const;
  void CheckUnchanged() const;
};

Origin Source::MakeOrigin() const {
  std::string config;
  tf::SerializeToStringDeterministic(session_options.config, &config);
  return {{kModelTopic, SourceFingerprint(path)},
          {"tags", TagSet(options.tags)},
          {"optimize", options.optimize == Optimize::kBf16 ? "bf16" : "default"},
          {"session options", absl::CEscape(config)},
          {"savedmodel", Version()},
          {"TensorFlow", TF_Version()},
          {"CPU", CpuKind()}};
}

void Source::CheckUnchanged() const {
  if (!fingerprint.empty() && SourceFingerprint(path) != fingerprint) {
    throw Error(Code::kFailedPrecondition, "'" + path + "' has changed since it was loaded");
  }
}

void OpenSession(const Source& source, tf::MetaGraphDef meta_graph, SharedSession* shared) {
  const QuietInfo quiet;
  source.CheckUnchanged();
  const FloatMode mode;
  std::unique_ptr<tf::Session> session;
  tf::SessionOptions options = source.session_options;
  // Calls of functions are added to the graph when a session has to run them.
  if (HasFunctions(meta_graph.object_graph_def())) {
    options.config.mutable_experimental()->set_disable_optimize_for_static_graph(true);
  }
  LeaveOutFolding(meta_graph.graph_def(), &options.config);
  LeaveOutRemapping(meta_graph.graph_def(), &options.config);
  ThrowIfError(tf::LoadMetagraphIntoSession(options, meta_graph, &session), "'" + source.path + "'");
  const tf::DeviceMgr* devices = nullptr;
  ThrowIfError(session->LocalDeviceManager(&devices));
  if (shared->threads != nullptr) shared->threads->UseFor(*devices);
  const TraceTurn turn(source.run_options);
  // Kept: what has the path of an asset may read it later.
  shared->path = std::make_unique<PlainPath>(source.path);
  Restore(options, source.run_options, meta_graph, shared->path->name(), &session);
  shared->graph_def.Swap(meta_graph.mutable_graph_def());
  shared->Set(std::move(session));
}

class Bundle : public internal::EngineModel {
 public:
  Bundle(std::string path, LoadOptions options) : source_{std::move(path), std::move(options), {}, {}, ""} {
    Load();
  }
  ~Bundle() override {
    if (shared_ != nullptr) Close();
  }

  const std::map<std::string, Signature>& signatures() const override { return signatures_; }
  const std::map<std::string, TensorSpec>& variables() const override { return shared_->graph.variables(); }
  std::unique_ptr<internal::EngineFunction> Bind(const Signature& signature,
                                                 const std::vector<TensorSpec>& outputs) override {
    const QuietInfo quiet;
    return BindFunction(shared_,
                        {Label(signature), Flatten(signature.inputs), Flatten(outputs), {}, nullptr});
  }
  std::unique_ptr<internal::EngineFunction> Bind(const std::vector<std::string>& fetches,
                                                 const std::vector<std::string>& feeds,
                                                 const std::vector<std::string>& targets) override;
  const std::map<std::string, SavedFunction>& functions() override { return functions_->list().all(); }
  const SavedFunction& FindFunction(const std::string& path) override {
    return functions_->list().Find(path);
  }
  std::unique_ptr<internal::EngineFunction> Bind(const SavedFunction& function, std::size_t trace) override {
    const QuietInfo quiet;
    return BindFunction(shared_, functions_->MakeCall(*shared_, function, trace));
  }
  Tensor ReadVariable(const std::string& name) override;
  std::vector<std::string> devices() override;
  std::map<std::string, std::int64_t> Placement() override;
  void SaveOptimized(const std::string& target,
                     const std::optional<std::vector<std::string>>& functions) override;
  void SaveVariables(const std::string& target, bool as_saved_model) override {
    WriteVariables(shared_->session(), saver_, shared_->run_options, as_saved_model ? source_.path : "",
                   target);
  }
  void Cancel() override { shared_->Cancel(); }
  void Close() override { shared_->Close(); }

 private:
  void Load();
  void CheckLoadOps(const tf::MetaGraphDef& meta_graph) const;
  void UseSaved();
  void PlanExecutors(const tf::DeviceMgr& devices);
  static std::string Label(const Signature& signature) { return "signature '" + signature.name + "'"; }

  Source source_;
  std::map<std::string, Signature> signatures_;
  std::shared_ptr<SharedSession> shared_;
  std::unique_ptr<ModelFunctions> functions_;
  tf::SaverDef saver_;
};

void Bundle::Load() {
  const LoadOptions& options = source_.options;
  if (options.optimize == Optimize::kBf16 && !HasBfloat16()) {
    throw Error(Code::kUnimplemented,
                "optimize bf16: this CPU has no instructions for bfloat16 (AVX512_BF16)");
  }
  source_.session_options = MakeSessionOptions(options);
  source_.run_options = MakeRunOptions(options.run, tf::RunOptions());
  OpenOpLibraries(options.op_libraries);
  if (!options.device.empty()) CheckDeviceExists(FullDeviceName(options.device), source_.session_options);
  tf::MetaGraphDef meta_graph = source_.ReadGraph();
  if (options.op_rules) CheckOps(source_.path, meta_graph, *options.op_rules);
  CheckGraph(source_.path, meta_graph);
  CheckGraphOps(source_.path, meta_graph.graph_def());
  CheckFiles(source_.path, meta_graph);
  MendVariables(source_.path, &meta_graph);
  saver_ = meta_graph.saver_def();

  shared_ = std::make_shared<SharedSession>(MakeThreads(options, source_.session_options.config),
                                            meta_graph.graph_def());
  CheckLoadOps(meta_graph);
  shared_->options = source_.session_options;
  shared_->run_options = source_.run_options;
  shared_->optimize = options.optimize;
  for (auto& [name, signature] : ReadSignatures(meta_graph)) {
    signatures_.emplace(name, Reconcile(signature, shared_->graph));
  }
  // A program that trains may run initializers itself.
  if (options.tags.count("train") == 0) {
    CheckInitialized(source_.path, meta_graph, signatures_);
  }
  if (options.optimize != Optimize::kNone) {
    std::vector<std::string> fetches;
    for (const auto& [name, signature] : signatures_) {
      for (const TensorSpec& output : Flatten(signature.outputs)) fetches.push_back(output.name);
    }
    shared_->written = WrittenVariables(meta_graph.graph_def(), fetches);
    shared_->convolves = Convolves(meta_graph.graph_def());
  }
  UseSaved();
  shared_->open = [source = source_](SharedSession* shared) {
    OpenSession(source, source.ReadMended(), shared);
  };
  const auto read = [source = source_] {
    source.CheckUnchanged();
    return std::move(*source.ReadMended().mutable_graph_def());
  };
  functions_ = std::make_unique<ModelFunctions>(
      source_.path, options.device.empty() ? "" : FullDeviceName(options.device), meta_graph, read);
  if (shared_->early_devices != nullptr) return;
  OpenSession(source_, std::move(meta_graph), shared_.get());
  PlanExecutors(shared_->devices());
  // The session has its own.
  if (!shared_->own_executors && !functions_->any()) shared_->graph_def.Clear();
}

// Functions that miss an op fail when they are called; those of the load itself now, in our words.
void Bundle::CheckLoadOps(const tf::MetaGraphDef& meta_graph) const {
  std::vector<TensorRef> run;
  for (const std::string& name : {InitOpOf(meta_graph), meta_graph.saver_def().restore_op_name()}) {
    const std::string node = name.substr(0, name.find(':'));
    if (!node.empty() && !IsControl(node)) run.emplace_back(node);
  }
  RefuseMissingOps(Quote(source_.path), shared_->graph.MissingOps(run));
}

// Takes what an optimizer left on disk. A function of it that has no state needs no session.
void Bundle::UseSaved() {
  if (source_.options.optimize == Optimize::kNone || !OptimizedFiles::Exist(source_.path)) return;
  if (!source_.options.device.empty()) {
    shared_->saved_why_not = "it was made for no device in particular";
    return;
  }
  if (source_.options.op_rules) {
    shared_->saved_why_not = "rules for ops hold for the model's own graph";
    return;
  }
  const Origin origin = source_.MakeOrigin();
  source_.fingerprint = origin.at(kModelTopic);
  shared_->saved = OptimizedFiles::Read(source_.path, origin, &shared_->saved_why_not);
  if (shared_->saved == nullptr) {
    LOG(WARNING) << source_.path << ": " << kOptimizedDirectory << " is not used: " << shared_->saved_why_not;
    return;
  }
  if (!shared_->saved->has_standalone()) return;
  std::vector<std::unique_ptr<tf::Device>> devices;
  ThrowIfError(tf::DeviceFactory::AddDevices(shared_->options, "/job:localhost/replica:0/task:0", &devices));
  auto manager = std::make_unique<tf::StaticDeviceMgr>(std::move(devices));
  PlanExecutors(*manager);
  if (!shared_->own_executors) return;
  if (shared_->threads != nullptr) shared_->threads->UseFor(*manager);
  shared_->early_devices = std::move(manager);
}

void Bundle::PlanExecutors(const tf::DeviceMgr& devices) {
  if (!RunsInCaller(source_.options, source_.session_options.config, source_.run_options,
                    devices.ListDevices().size(), shared_->graph)) {
    return;
  }
  shared_->run_options.set_inter_op_thread_pool(-1);
  shared_->own_executors = MayHaveExecutors(source_.session_options.config, source_.run_options);
  shared_->options.config.mutable_graph_options()->mutable_optimizer_options()->set_do_function_inlining(
      true);
  LeaveOutForOneCpu(&shared_->options.config);
  shared_->optimized_options = shared_->options;
  auto* graph_options = shared_->optimized_options.config.mutable_graph_options();
  graph_options->mutable_rewrite_options()->set_disable_meta_optimizer(true);
  // Nor must what is left to fold be folded: large constants have their values beside the graph.
  graph_options->mutable_optimizer_options()->set_opt_level(tf::OptimizerOptions::L0);
}

std::unique_ptr<internal::EngineFunction> Bundle::Bind(const std::vector<std::string>& fetches,
                                                       const std::vector<std::string>& feeds,
                                                       const std::vector<std::string>& targets) {
  const auto specs = [&](const std::vector<std::string>& names) {
    std::vector<TensorSpec> result;
    for (const std::string& text : names) {
      TensorSpec& spec = result.emplace_back();
      spec.key = text;
      spec.name = TensorRef::Parse(text).ToString();
      spec.shape = shared_->graph.PlaceholderShape(TensorRef::Parse(text));
    }
    return result;
  };
  const QuietInfo quiet;
  return BindFunction(shared_, {"run by tensor name", specs(feeds), specs(fetches), targets, nullptr},
                      targets.empty());
}

Tensor Bundle::ReadVariable(const std::string& name) {
  const auto spec = variables().find(name);
  if (spec == variables().end()) {
    throw UsageError(UsageError::Kind::kName, "no variable '" + name + "' in '" + source_.path + "'");
  }
  return ReadVariableValue(shared_->session(), shared_->devices(), spec->second,
                           shared_->graph.variable(name), shared_->run_options);
}

std::vector<std::string> Bundle::devices() {
  std::vector<std::string> names;
  for (const tf::Device* device : shared_->devices().ListDevices()) names.push_back(device->name());
  return names;
}

std::map<std::string, std::int64_t> Bundle::Placement() {
  return CountPlacement(source_.ReadGraph().graph_def(), shared_->devices().ListDevices(),
                        source_.session_options.config.allow_soft_placement());
}

void Bundle::SaveOptimized(const std::string& target,
                           const std::optional<std::vector<std::string>>& functions) {
  if (shared_->optimize == Optimize::kNone) {
    throw Error(Code::kFailedPrecondition,
                "the model was loaded with optimize none: there is nothing to save");
  }
  if (!source_.options.device.empty()) {
    throw Error(Code::kFailedPrecondition, "the model was loaded for the device '" + source_.options.device +
                                               "': what is saved must run on any");
  }
  if (!shared_->own_executors) {
    throw Error(
        Code::kFailedPrecondition,
        "the model has options, devices or ops that only a session respects: there is nothing to save");
  }
  shared_->session();
  const Origin origin = source_.MakeOrigin();
  Collector collector(shared_.get(), InitializedVariables(source_.path, source_.ReadGraph()));
  for (const auto& [name, signature] : signatures_) {
    collector.Add(Label(signature), [&signature = signature] {
      return Callee{Label(signature), Flatten(signature.inputs), Flatten(signature.outputs), {}, nullptr};
    });
  }
  for (const auto& [function, trace] : functions_->ToSave(functions)) {
    collector.Add(function->Label(trace), [&, &function = *function, trace = trace] {
      return functions_->MakeCall(*shared_, function, trace);
    });
  }
  const OptimizedWriter& writer = collector.writer();
  if (writer.empty()) {
    throw Error(Code::kFailedPrecondition,
                Quote(source_.path) + " has no signature or function to optimize" + collector.why_not());
  }
  if (SameDirectory(source_.path, target)) return writer.Write(target, origin);
  WriteWhole(target, /*replace=*/false, [&](const std::string& copy) {
    CopyFiles(source_.path, copy, [](const std::string&) { return true; });
    writer.Write(copy, origin);
  });
}

}  // namespace

std::unique_ptr<internal::EngineModel> LoadBundle(const std::string& path, const LoadOptions& options) {
  return std::make_unique<Bundle>(path, options);
}

}  // namespace savedmodel::engine
