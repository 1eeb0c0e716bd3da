// SPDX-License-Identifier: Apache-2.0
#include "engine/model/bundle.h"

#include <utility>

#include "engine/base/logging.h"
#include "engine/base/options.h"
#include "engine/base/paths.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/files/copy.h"
#include "engine/files/files.h"
#include "engine/files/graph_checks.h"
#include "engine/graph/graph_view.h"
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
#include "engine/model/session.h"
#include "engine/objects/mend.h"
#include "engine/optimize/grappler.h"
#include "engine/saved/fingerprint.h"
#include "engine/saved/optimized_files.h"
#include "engine/saved/variables.h"
#include "tensorflow/cc/saved_model/loader_util.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/platform/env.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

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

// True if the load's init op does anything but to end.
bool Initializes(const tf::MetaGraphDef& meta_graph) {
  bool initializes = false;
  GraphView(meta_graph.graph_def()).Walk({InitOpOf(meta_graph)}, [&](const tf::NodeDef& node) {
    initializes |= node.op() != "NoOp";
  });
  return initializes;
}

class Bundle : public internal::EngineModel {
 public:
  Bundle(const std::string& path, const LoadOptions& options) {
    if (options.optimize == Optimize::kBf16 && !HasBfloat16()) {
      throw Error(Code::kUnimplemented,
                  "optimize bf16: this CPU has no instructions for bfloat16 (AVX512_BF16)");
    }
    Load(std::make_unique<ModelSource>(path, options));
  }
  ~Bundle() override {
    if (shared_ != nullptr) Close();
  }

  const std::map<std::string, Signature>& signatures() const override { return signatures_; }
  std::size_t WeightBytes() override { return shared_->WeightBytes(); }
  const std::map<std::string, TensorSpec>& variables() const override { return shared_->index().variables(); }
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
  void SaveOptimized(const std::string& target, const std::optional<std::vector<std::string>>& functions,
                     bool for_default) override;
  void SaveVariables(const std::string& target, bool as_saved_model) override {
    WriteVariables(*shared_->Borrow(), saver_, shared_->settings.run_options,
                   as_saved_model ? source().path() : "", target);
  }
  void FreeUnused() override;
  void Cancel() override { shared_->Cancel(); }
  void Close() override { shared_->Close(); }

 private:
  void Load(std::unique_ptr<ModelSource> source);
  void CheckLoadOps(const tf::MetaGraphDef& meta_graph) const;
  static Origin OriginOfSaved(const ModelSource& source);
  static std::string FingerprintToFree(const ModelSource& source);
  void UseSaved(const tf::MetaGraphDef& meta_graph, const Origin& origin, ModelSource* source);
  FunctionGraph GraphOf(const Signature& signature) const;  // throws Error for one that can't be called
  void PlanExecutors(const tf::DeviceMgr& devices);
  const ModelSource& source() const { return shared_->source(); }
  static std::string Label(const Signature& signature) { return "signature '" + signature.name + "'"; }

  std::map<std::string, Signature> signatures_;
  std::shared_ptr<SharedSession> shared_;
  std::unique_ptr<ModelFunctions> functions_;
  tf::SaverDef saver_;
};

void Bundle::Load(std::unique_ptr<ModelSource> from) {
  const LoadOptions& options = from->options();
  const std::string& path = from->path();
  OpenOpLibraries(options.op_libraries);
  if (!options.device.empty()) CheckDeviceExists(from->full_device(), from->session_options());
  const Origin origin = OriginOfSaved(*from);
  const std::string fingerprint = FingerprintToFree(*from);
  tf::MetaGraphDef meta_graph = from->ReadGraph();
  if (options.op_rules) CheckOps(path, meta_graph, *options.op_rules);
  CheckGraph(path, meta_graph);
  CheckGraphOps(path, meta_graph.graph_def());
  CheckFiles(path, meta_graph);
  MendVariables(path, &meta_graph);
  saver_ = meta_graph.saver_def();

  ModelSource* const source = from.get();
  shared_ = std::make_shared<SharedSession>(
      std::move(from), MakeThreads(options, source->session_options().config), meta_graph.graph_def());
  CheckLoadOps(meta_graph);
  for (auto& [name, signature] : ReadSignatures(meta_graph)) {
    signatures_.emplace(name, Reconcile(signature, shared_->index()));
  }
  // A program that trains may run initializers itself.
  if (options.tags.count("train") == 0) CheckInitialized(path, meta_graph, signatures_);
  ModelSettings& settings = shared_->settings;
  if (settings.optimize != Optimize::kNone) {
    std::vector<std::string> fetches;
    for (const auto& [name, signature] : signatures_) {
      for (const TensorSpec& output : Flatten(signature.outputs)) fetches.push_back(output.name);
    }
    shared_->prepared.variables.AddWritten(WrittenVariables(meta_graph.graph_def(), fetches));
    settings.convolves = Convolves(meta_graph.graph_def());
  }
  UseSaved(meta_graph, origin, source);
  functions_ = std::make_unique<ModelFunctions>(*source, meta_graph);
  if (shared_->state() == SharedSession::State::kDevicesOnly) return;
  const bool initializes = Initializes(meta_graph);
  shared_->Open(std::move(meta_graph));
  PlanExecutors(DevicesOf(*shared_->Borrow()));
  if (!settings.own_executors && !functions_->any()) shared_->DropGraph();
  // What an init op does may have another result when the session is opened again.
  if (settings.own_executors && !initializes && !signatures_.empty() && !fingerprint.empty() &&
      SourceFingerprint(path) == fingerprint) {
    source->Hold({{kModelTopic, fingerprint}});
    shared_->AllowFree();
  }
}

// The fingerprint of a model whose session may be freed; empty if it has to stay.
std::string Bundle::FingerprintToFree(const ModelSource& source) {
  const LoadOptions& options = source.options();
  if (!options.free_variables || options.optimize == Optimize::kNone || options.tags.count("train") > 0)
    return "";
  try {
    return SourceFingerprint(source.path());
  } catch (const Error&) {  // reading the graph says why
    return "";
  }
}

FunctionGraph Bundle::GraphOf(const Signature& signature) const {
  std::vector<TensorSpec> inputs = Flatten(signature.inputs), outputs = Flatten(signature.outputs);
  return CallPlan(shared_->index(), Label(signature), &inputs, &outputs).graph;
}

void Bundle::FreeUnused() {
  const std::unique_lock<std::mutex> lock(shared_->prepared.mutex, std::try_to_lock);
  if (!lock.owns_lock()) return;  // another function is being prepared: after its first call
  for (const auto& files : shared_->prepared.saved) files->DropMappedPages();
  try {
    std::vector<FunctionGraph> functions;
    for (const auto& [name, signature] : signatures_) functions.push_back(GraphOf(signature));
    FreeUnusedSession(shared_.get(), functions);
  } catch (const std::exception&) {  // the call has succeeded; the session stays
  }
}

// Functions that miss an op fail when they are called; those of the load itself now, in our words.
void Bundle::CheckLoadOps(const tf::MetaGraphDef& meta_graph) const {
  std::vector<TensorRef> run;
  for (const std::string& name : {InitOpOf(meta_graph), meta_graph.saver_def().restore_op_name()}) {
    const std::string node = name.substr(0, name.find(':'));
    if (!node.empty() && !IsControl(node)) run.emplace_back(node);
  }
  RefuseMissingOps(Quote(source().path()), shared_->index().MissingOps(run));
}

// Taken before the model is read, which may be replaced meanwhile. Empty if no optimized functions are to be
// used, or if the model can't be read.
Origin Bundle::OriginOfSaved(const ModelSource& source) {
  const LoadOptions& options = source.options();
  const bool uses = OptimizedFiles::Exist(source.path()) || !options.cache.value_or("").empty();
  if (options.optimize == Optimize::kNone || !uses) return {};
  try {
    return source.MakeOrigin();
  } catch (const Error&) {  // reading the graph says why
    return {};
  }
}

// Takes what an optimizer left on disk. A function of it that has no state needs no session.
void Bundle::UseSaved(const tf::MetaGraphDef& meta_graph, const Origin& origin, ModelSource* source) {
  const LoadOptions& options = source->options();
  PreparedFunctions& prepared = shared_->prepared;
  const bool beside = OptimizedFiles::Exist(source->path());
  const std::string cache = options.cache.value_or("");
  if (origin.empty()) return;
  if (!options.device.empty()) {
    if (beside) prepared.saved_why_not = "it does not apply to a load for a device";
    return;
  }
  if (options.op_rules) {
    if (beside) prepared.saved_why_not = "it does not apply to a load with rules for ops";
    return;
  }
  source->Hold(origin);
  if (auto found = beside ? OptimizedFiles::Read(source->path(), origin, &prepared.saved_why_not) : nullptr) {
    prepared.saved.push_back(std::move(found));
    prepared.saved_from = kOptimizedDirectory;
  } else if (beside) {
    LOG(WARNING) << source->path() << ": " << kOptimizedDirectory
                 << " is not used: " << prepared.saved_why_not;
  }
  if (prepared.saved.empty() && !cache.empty()) {
    prepared.cache = std::make_unique<OptimizedCache>(cache, origin);
    prepared.initialized = InitializedVariables(source->path(), meta_graph);
    prepared.saved_from = "the cache " + Quote(cache);
    for (const auto& [name, signature] : signatures_) {
      try {
        prepared.signatures.push_back(GraphOf(signature));
      } catch (const Error&) {  // it can have no entry
      }
    }
  }
  const bool may_need_no_session = prepared.saved.empty()
                                       ? prepared.cache != nullptr && prepared.cache->HasAny()
                                       : prepared.saved.front()->has_standalone();
  if (!may_need_no_session) return;
  std::unique_ptr<tf::DeviceMgr> manager = source->MakeDevices();
  PlanExecutors(*manager);
  if (shared_->settings.own_executors) shared_->UseDevices(std::move(manager));
}

void Bundle::PlanExecutors(const tf::DeviceMgr& devices) {
  const tf::ConfigProto& config = source().session_options().config;
  if (!RunsInCaller(source().options(), config, source().run_options(), devices.ListDevices().size(),
                    shared_->index())) {
    return;
  }
  ModelSettings& settings = shared_->settings;
  settings.run_options.set_inter_op_thread_pool(-1);
  settings.own_executors = MayHaveExecutors(config, source().run_options());
  settings.plain_options.config.mutable_graph_options()
      ->mutable_optimizer_options()
      ->set_do_function_inlining(true);
  LeaveOutForOneCpu(&settings.plain_options.config);
  settings.optimized_options = settings.plain_options;
  auto* graph_options = settings.optimized_options.config.mutable_graph_options();
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
      spec.shape = shared_->index().PlaceholderShape(TensorRef::Parse(text));
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
    throw UsageError(UsageError::Kind::kName, "no variable '" + name + "' in '" + source().path() + "'");
  }
  shared_->NoteView();
  const std::shared_ptr<tf::Session> session = shared_->Borrow();
  return ReadVariableValue(*session, DevicesOf(*session), spec->second, shared_->index().variable(name),
                           shared_->settings.run_options);
}

std::vector<std::string> Bundle::devices() {
  std::vector<std::string> names;
  const std::lock_guard<std::mutex> lock(shared_->prepared.mutex);
  for (const tf::Device* device : shared_->DevicesFor(true).ListDevices()) names.push_back(device->name());
  return names;
}

std::map<std::string, std::int64_t> Bundle::Placement() {
  const std::shared_ptr<tf::Session> session = shared_->Borrow();
  return CountPlacement(source().ReadGraph().graph_def(), DevicesOf(*session).ListDevices(),
                        source().session_options().config.allow_soft_placement());
}

void Bundle::SaveOptimized(const std::string& target,
                           const std::optional<std::vector<std::string>>& functions, bool for_default) {
  if (shared_->settings.optimize == Optimize::kNone) {
    throw Error(Code::kFailedPrecondition,
                "the model was loaded with optimize none: it has no optimized graphs to save");
  }
  if (!source().options().device.empty()) {
    throw Error(Code::kFailedPrecondition, "the model was loaded for the device '" +
                                               source().options().device +
                                               "': load it without a device to save its optimized graphs");
  }
  if (!shared_->settings.own_executors) {
    throw Error(Code::kFailedPrecondition,
                "the model has options, devices or ops that only a session respects: it has no optimized "
                "graphs to save");
  }
  const std::shared_ptr<tf::Session> session = shared_->Borrow();
  source().CheckUnchanged();
  const Origin origin = for_default ? source().MakeOrigin(Optimize::kDefault) : source().MakeOrigin();
  Collector collector(shared_.get(), InitializedVariables(source().path(), source().ReadGraph()));
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
                Quote(source().path()) + " has no signature or function to optimize" + collector.why_not());
  }
  if (SameDirectory(source().path(), target)) return writer.Write(target, origin);
  WriteWhole(target, /*replace=*/false, [&](const std::string& copy) {
    CopyFiles(source().path(), copy, [](const std::string&) { return true; });
    writer.Write(copy, origin);
  });
}

}  // namespace

std::unique_ptr<internal::EngineModel> LoadBundle(const std::string& path, const LoadOptions& options) {
  return std::make_unique<Bundle>(path, options);
}

}  // namespace savedmodel::engine
