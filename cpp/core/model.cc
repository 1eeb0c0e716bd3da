// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "core/clock.h"
#include "core/environment.h"
#include "core/exit.h"
#include "core/lasting_statics.h"
#include "core/model_state.h"
#include "core/resident_memory.h"
#include "core/runtime.h"
#include "core/with_errors.h"
#include "savedmodel/constants.h"
#include "savedmodel/runtime.h"
#include "savedmodel/warmup.h"

namespace savedmodel {
namespace internal {
namespace {

constexpr std::size_t kAdHocFunctions = 64;
constexpr int kMaxThreads = 4096;

std::string ListKeys(const std::map<std::string, Signature>& signatures) {
  std::string text;
  for (const auto& [name, signature] : signatures) text += (text.empty() ? "'" : ", '") + name + "'";
  return text.empty() ? "none" : text;
}

std::vector<TensorSpec> SelectOutputs(const Signature& signature, const std::vector<std::string>& keys) {
  if (keys.empty()) return signature.outputs;
  std::vector<TensorSpec> selected;
  for (const std::string& key : keys) {
    const auto found = std::find_if(signature.outputs.begin(), signature.outputs.end(),
                                    [&](const TensorSpec& spec) { return spec.key == key; });
    if (found == signature.outputs.end()) {
      std::string known;
      for (const TensorSpec& spec : signature.outputs)
        known += (known.empty() ? "'" : ", '") + spec.key + "'";
      throw UsageError(UsageError::Kind::kName, "signature '" + signature.name + "' has no output '" + key +
                                                    "'; its outputs: " + (known.empty() ? "none" : known));
    }
    selected.push_back(*found);
  }
  return selected;
}

}  // namespace

void ModelState::Enter() {
  if (fork_generation != ForkGeneration()) CheckUsableAfterFork();
  if (!gate.Enter()) {
    HoldAtExit();
    throw Error(Code::kFailedPrecondition, "the model '" + path + "' is closed");
  }
}

ModelState::ModelState() : fork_generation(ForkGeneration()) { Enlist(this); }

void ModelState::Close() {
  if (Delivering() == this) {
    throw Error(Code::kFailedPrecondition,
                "a RunAsync callback can't close its own model: Close waits for the callback");
  }
  gate.Shut();
  // A forked child has none of TensorFlow's threads; freeing the session there would wait for them.
  if (fork_generation != ForkGeneration()) return;
  gate.Wait();
  std::lock_guard<std::mutex> lock(mutex);
  if (closed || engine == nullptr) return;
  closed = true;
  functions.clear();
  saved_functions.clear();
  ad_hoc.clear();
  engine->Close();
  ReduceResidentMemory(/*library_pages=*/false);
}

ModelState::~ModelState() {
  if (fork_generation != ForkGeneration()) {  // leaked on purpose: the registry's mutex may be locked forever
    for (auto& [key, function] : functions) new std::shared_ptr<BoundFunction>(std::move(function));
    for (auto& [key, function] : saved_functions) new std::shared_ptr<BoundFunction>(std::move(function));
    for (auto& [key, function] : ad_hoc) new std::shared_ptr<BoundFunction>(std::move(function));
    (void)engine.release();  // NOLINT(bugprone-unused-return-value)
    if (options.thread_pool) new std::shared_ptr<ThreadPool>(options.thread_pool);
    return;
  }
  Strike(this);
  Close();
  // A pool can't be destroyed in one of its own threads, and such a thread may release the model last.
  if (options.thread_pool == nullptr || options.thread_pool->CurrentThreadId() < 0) return;
  engine.reset();
  struct LetGo : PoolTask {
    void Run() noexcept override { pool.reset(); }
    std::shared_ptr<ThreadPool> pool;
  };
  static auto* pools = new PoolQueue;
  auto last = std::make_shared<LetGo>();
  last->pool = std::move(options.thread_pool);
  pools->Push(std::move(last));
}

void ModelState::Cancel() {
  gate.Shut();
  std::lock_guard<std::mutex> lock(mutex);
  if (!closed && engine != nullptr) engine->Cancel();
}

void CheckOptions(const LoadOptions& options) {
  const auto check = [](bool good, const std::string& rule) {
    if (!good) throw UsageError(UsageError::Kind::kValue, rule);
  };
  const char* const isa = std::getenv("SAVEDMODEL_MAX_ISA");
  const std::string set = isa == nullptr ? "" : isa;
  check(set.empty() || set == "generic" || set == "avx2" || set == "avx512",
        "SAVEDMODEL_MAX_ISA must be 'generic', 'avx2' or 'avx512', got '" + set + "'");
  const std::string most = std::to_string(kMaxThreads);
  check(options.threads >= 0 && options.threads <= kMaxThreads, "LoadOptions::threads must be 1 to " + most +
                                                                    ", or 0 for one per CPU, got " +
                                                                    std::to_string(options.threads));
  if (options.thread_pool != nullptr) {
    const int threads = options.thread_pool->NumThreads();
    check(threads >= 1 && threads <= kMaxThreads,
          "the thread pool must have 1 to " + most + " threads, got " + std::to_string(threads));
  }
  check(options.max_queue > 0, "LoadOptions::max_queue must be 1 or more");
  const SessionOptions& session = options.session;
  check(!session.inter_op_threads || (*session.inter_op_threads >= 0 && *session.inter_op_threads < 1 << 16),
        "SessionOptions::inter_op_threads must be 0 to 65535");
  check(
      !session.gpu_memory_fraction || (*session.gpu_memory_fraction > 0 && *session.gpu_memory_fraction <= 1),
      "SessionOptions::gpu_memory_fraction must be above 0, and 1 at most");
  const auto& timeout = options.run.timeout;
  check(!timeout || (timeout->count() > 0 && std::isfinite(timeout->count())),
        "LoadOptions::run: timeout must be a finite number of seconds above 0");
  if (options.run.cancellation != nullptr) {
    throw UsageError(UsageError::Kind::kArguments,
                     "LoadOptions::run can't have a cancellation; give one to each run");
  }
}

}  // namespace internal

using internal::FunctionState;
using internal::ModelState;
using internal::Subject;
using internal::Visit;
using internal::WithErrors;

namespace {

std::string CacheOfEnvironment() {
  const char* given = std::getenv("SAVEDMODEL_CACHE");
  const std::string setting = given == nullptr ? "" : given;
  return setting == "0" ? "" : setting == "1" ? DefaultCacheDirectory() : setting;
}

constexpr char kCall[] = "__call__";  // Python's name for calling the object itself

template <typename Call>
auto Inside(ModelState& model, const Call& call) {
  return WithErrors(Subject::Quoted(model.path), [&] {
    const Visit visit(model);
    return call(*model.engine);
  });
}

std::shared_ptr<FunctionState> NewFunction(const std::shared_ptr<ModelState>& model, std::string label) {
  auto state = std::make_shared<FunctionState>();
  state->model = model;
  state->label = std::move(label);
  return state;
}

// Returns the entry for `key` in `known`, or adds the result of `bind`.
template <typename Known, typename Bind>
std::shared_ptr<internal::BoundFunction> FindOrBind(ModelState& model, Known* known,
                                                    const typename Known::key_type& key, const Bind& bind) {
  {
    const std::lock_guard<std::mutex> lock(model.mutex);
    const auto found = known->find(key);
    if (found != known->end()) return found->second;
  }
  auto bound = std::make_shared<internal::BoundFunction>(bind());
  const std::lock_guard<std::mutex> lock(model.mutex);
  return known->emplace(key, std::move(bound)).first->second;
}

}  // namespace

std::string DefaultCacheDirectory() {
  const char *given = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (given != nullptr && given[0] == '/') return std::string(given) + "/savedmodel";
  return home == nullptr || home[0] == 0 ? "" : std::string(home) + "/.cache/savedmodel";
}

Model Model::Load(const std::string& path, const LoadOptions& options) {
  return WithErrors(Subject::Quoted(path), [&] {
    internal::CheckOptions(options);
    internal::CalibrateTicks();
    internal::Engine& engine = internal::GetEngine();
    internal::MarkThreadsStarted();
    static const bool first = (internal::KeepTensorFlowsStatics(), internal::StopRunsAtExit(), true);
    (void)first;
    auto state = std::make_shared<ModelState>();
    state->path = path;
    state->options = options;
    const Visit visit(*state);  // keeps the process from exiting meanwhile
    internal::CheckNotExiting();
    // Only the state owns the pool, because only it can release it safely.
    LoadOptions lent = options;
    if (!lent.cache) lent.cache = CacheOfEnvironment();
    if (internal::IsSwitchedOn("SAVEDMODEL_KEEP_VARIABLES")) lent.free_variables = false;
    lent.thread_pool = std::shared_ptr<ThreadPool>(std::shared_ptr<ThreadPool>(), options.thread_pool.get());
    auto loaded = engine.Load(path, lent);
    internal::ReduceResidentMemory(options.drop_library_pages);
    internal::CalibrateTicks();
    const auto& signatures = loaded->signatures();
    if (signatures.count(kDefaultServingSignatureDefKey) > 0) {
      state->default_signature = kDefaultServingSignatureDefKey;
    } else if (signatures.size() == 1) {
      state->default_signature = signatures.begin()->first;
    }
    {
      const std::lock_guard<std::mutex> lock(state->mutex);
      state->engine = std::move(loaded);
    }
    Model model(state);
    if (options.warmup) state->warmed_up = ReplayWarmup(model);
    if (options.warmup && state->warmed_up == 0) (void)model.Prepare();
    return model;
  });
}

ModelState& Model::state() const {
  if (state_ == nullptr) internal::RefuseEmpty("Model");
  return *state_;
}

const std::string& Model::path() const& { return state().path; }
const LoadOptions& Model::options() const& { return state().options; }
const std::map<std::string, Signature>& Model::signatures() const& { return state().engine->signatures(); }
const std::string& Model::default_signature() const& { return state().default_signature; }
std::size_t Model::warmed_up() const { return state().warmed_up; }
const std::map<std::string, TensorSpec>& Model::variables() const& { return state().engine->variables(); }

Function Model::function(const std::string& signature, const std::vector<std::string>& outputs) const {
  return Inside(state(), [&](internal::EngineModel& engine) {
    const auto& signatures = engine.signatures();
    const auto found = signatures.find(signature);
    if (found == signatures.end()) {
      throw UsageError(UsageError::Kind::kName, "no signature '" + signature + "' in '" + state_->path +
                                                    "'; its signatures: " + internal::ListKeys(signatures));
    }
    auto state = NewFunction(state_, "signature '" + signature + "'");
    state->bound = FindOrBind(*state_, &state_->functions, {signature, outputs}, [&] {
      return engine.Bind(found->second, internal::SelectOutputs(found->second, outputs));
    });
    return Function(std::move(state));
  });
}

Function Model::function(const std::vector<std::string>& fetches, const std::vector<std::string>& feeds,
                         const std::vector<std::string>& targets) const {
  return Inside(state(), [&](internal::EngineModel& engine) {
    auto state = NewFunction(state_, "run by tensor name");
    ModelState::AdHocKey key(fetches, feeds, targets);
    std::list<std::pair<ModelState::AdHocKey, std::shared_ptr<internal::BoundFunction>>> evicted;
    std::unique_lock<std::mutex> lock(state_->mutex);
    auto& recent = state_->ad_hoc;
    const auto cached =
        std::find_if(recent.begin(), recent.end(), [&](const auto& entry) { return entry.first == key; });
    if (cached != recent.end()) {
      recent.splice(recent.begin(), recent, cached);
      state->bound = recent.front().second;
      return Function(std::move(state));
    }
    lock.unlock();
    state->bound = std::make_shared<internal::BoundFunction>(engine.Bind(fetches, feeds, targets), true);
    lock.lock();
    recent.emplace_front(std::move(key), state->bound);
    if (recent.size() > internal::kAdHocFunctions) evicted.splice(evicted.begin(), recent, --recent.end());
    return Function(std::move(state));
  });
}

const std::map<std::string, SavedFunction>& Model::functions() const& {
  return *Inside(state(), [](internal::EngineModel& engine) { return &engine.functions(); });
}

const SavedFunction& Model::find_function(const std::string& path) const& {
  return *Inside(state(), [&](internal::EngineModel& engine) { return &engine.FindFunction(path); });
}

Function Model::saved_function(const std::string& path, std::size_t trace) const {
  return Inside(state(), [&](internal::EngineModel& engine) {
    const SavedFunction& found = engine.FindFunction(path);
    found.CheckTrace(trace);
    auto state = NewFunction(state_, "function '" + path + "'");
    state->bound = FindOrBind(*state_, &state_->saved_functions, found.traces[trace].name,
                              [&] { return engine.Bind(found, trace); });
    return Function(std::move(state));
  });
}

Function Model::saved_function(const std::string& path, const std::vector<Tensor>& tensors,
                               const std::map<std::string, Constant>& constants) const {
  return saved_function(path, find_function(path).FindTrace(tensors, constants));
}

Tensor Model::ReadVariable(const std::string& name) const {
  return Inside(state(), [&](internal::EngineModel& engine) { return engine.ReadVariable(name); });
}

std::vector<std::string> Model::devices() const {
  return Inside(state(), [](internal::EngineModel& engine) { return engine.devices(); });
}

std::vector<OptimizationReport> Model::Optimization() const {
  return WithErrors(Subject::Quoted(path()), [&] {
    std::vector<OptimizationReport> reports;
    std::set<const internal::BoundFunction*> reported;
    const auto add = [&](const std::string& label, const internal::BoundFunction* bound) {
      OptimizationReport report;
      report.function = label;
      report.why_not = state_->closed ? "the model is closed" : "it has not been called yet";
      reports.push_back(bound == nullptr ? std::move(report) : bound->engine->optimization());
      reported.insert(bound);
    };
    const auto call = signatures().empty() ? functions().find(kCall) : functions().end();
    const std::lock_guard<std::mutex> lock(state_->mutex);
    for (const auto& [name, signature] : signatures()) {
      const auto found = state_->functions.lower_bound({name, {}});  // with all outputs, or some
      const bool has = found != state_->functions.end() && found->first.first == name;
      add("signature '" + name + "'", has ? found->second.get() : nullptr);
    }
    for (std::size_t i = 0; call != functions().end() && i < call->second.traces.size(); ++i) {
      const auto found = state_->saved_functions.find(call->second.traces[i].name);
      add(call->second.Label(i), found == state_->saved_functions.end() ? nullptr : found->second.get());
    }
    for (const auto& [name, bound] : state_->saved_functions) {
      if (reported.count(bound.get()) == 0) reports.push_back(bound->engine->optimization());
    }
    return reports;
  });
}

std::vector<OptimizationReport> Model::Prepare() const {
  return WithErrors(Subject::Quoted(path()), [&] {
    std::map<std::size_t, std::string> failed;
    std::size_t made = 0;
    const auto make = [&](const auto& bind) {
      try {
        (void)bind();
      } catch (const Error& error) {
        failed[made] = error.what();
      }
      ++made;
    };
    for (const auto& [name, signature] : signatures()) make([&, &name = name] { return function(name); });
    const auto call = signatures().empty() ? functions().find(kCall) : functions().end();
    for (std::size_t i = 0; call != functions().end() && i < call->second.traces.size(); ++i) {
      make([&] { return saved_function(kCall, i); });
    }
    std::vector<OptimizationReport> reports = Optimization();
    for (const auto& [number, why_not] : failed) reports[number].why_not = why_not;
    return reports;
  });
}

std::map<std::string, std::int64_t> Model::Placement() const {
  return Inside(state(), [](internal::EngineModel& engine) { return engine.Placement(); });
}

void Model::SaveOptimized(const std::string& target, const std::optional<std::vector<std::string>>& functions,
                          bool for_default) const {
  Inside(state(),
         [&](internal::EngineModel& engine) { engine.SaveOptimized(target, functions, for_default); });
}

void Model::SaveVariables(const std::string& target, bool as_saved_model) const {
  Inside(state(), [&](internal::EngineModel& engine) { engine.SaveVariables(target, as_saved_model); });
}

std::size_t Model::weight_bytes() const {
  std::size_t bytes = 0;
  if (closed()) return bytes;
  try {
    Inside(state(), [&](internal::EngineModel& engine) { bytes = engine.WeightBytes(); });
  } catch (const Error& error) {
    if (error.code() != Code::kFailedPrecondition) throw;  // it has just been closed
  }
  return bytes;
}

std::vector<RunCounters> Model::Counters() const {
  return WithErrors(Subject::Quoted(path()), [&] {
    std::vector<RunCounters> counters;
    const std::lock_guard<std::mutex> lock(state_->mutex);
    for (const auto& [key, bound] : state_->functions) {
      counters.push_back(FunctionState{state_, bound, "signature '" + key.first + "'"}.Counters());
      counters.back().signature = key.first;
    }
    return counters;
  });
}

void Model::Close() {
  WithErrors(Subject::Quoted(path()), [&] { state_->Close(); });
}
bool Model::closed() const { return state().gate.closed(); }

bool Model::Cancel(Seconds longest) {
  return WithErrors(Subject::Quoted(path()), [&] {
    if (state_->fork_generation != internal::ForkGeneration()) return true;
    state_->Cancel();
    return state_->gate.WaitFor(longest.count());
  });
}

}  // namespace savedmodel
