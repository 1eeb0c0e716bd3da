// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/model.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "core/clock.h"
#include "core/model_state.h"
#include "core/runtime.h"
#include "core/shared_pool.h"

namespace savedmodel {
namespace internal {
namespace {

constexpr std::size_t kAdHocFunctions = 64;
constexpr char kDefaultSignature[] = "serving_default";

// What the standard library throws inside of TensorFlow, where a graph contradicts itself, is an Error, too.
template <typename Call>
decltype(auto) WithErrors(const std::string& path, const Call& call) {
  try {
    return call();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(Code::kInternal, "'" + path + "': " + error.what());
  }
}

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
    throw Error(Code::kFailedPrecondition, "the model '" + path + "' is closed");
  }
}

namespace {

// All models of the process, for its exit. Never destroyed.
struct Registry {
  std::mutex mutex;
  std::set<ModelState*> models;
};
Registry& GetRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

}  // namespace

ModelState::ModelState() : fork_generation(ForkGeneration()) {
  std::lock_guard<std::mutex> lock(GetRegistry().mutex);
  GetRegistry().models.insert(this);
}

void ModelState::Close() {
  if (Delivering() == this) {
    throw Error(Code::kFailedPrecondition,
                "a callback of RunAsync can't close its model, which would wait for it");
  }
  gate.Shut();
  // A forked child has none of TensorFlow's threads: freeing the session there would wait for them.
  if (fork_generation != ForkGeneration()) return;
  gate.Wait();
  std::lock_guard<std::mutex> lock(mutex);
  if (closed || engine == nullptr) return;
  closed = true;
  functions.clear();
  saved_functions.clear();
  ad_hoc.clear();
  engine->Close();
}

ModelState::~ModelState() {
  if (fork_generation != ForkGeneration()) {  // leaked on purpose; the registry's mutex may be held for good
    for (auto& [key, function] : functions) new std::shared_ptr<BoundFunction>(std::move(function));
    for (auto& [key, function] : saved_functions) new std::shared_ptr<BoundFunction>(std::move(function));
    for (auto& [key, function] : ad_hoc) new std::shared_ptr<BoundFunction>(std::move(function));
    (void)engine.release();  // NOLINT(bugprone-unused-return-value)
    if (options.thread_pool) new std::shared_ptr<ThreadPool>(options.thread_pool);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(GetRegistry().mutex);
    GetRegistry().models.erase(this);
  }
  Close();
  // A pool can't be destroyed in a thread of its own, which may be the last to hold the model.
  if (options.thread_pool == nullptr || options.thread_pool->CurrentThreadId() < 0) return;
  engine.reset();
  ScheduleShared([pool = std::move(options.thread_pool)] {});
}

void ModelState::Cancel() {
  gate.Shut();
  std::lock_guard<std::mutex> lock(mutex);
  if (!closed && engine != nullptr) engine->Cancel();
}

}  // namespace internal

using internal::FunctionState;
using internal::ModelState;
using internal::Visit;

Model Model::Load(const std::string& path, const LoadOptions& options) {
  internal::CheckOptions(options.run);
  if (options.run.cancellation != nullptr) {
    throw UsageError(UsageError::Kind::kArguments, "a cancellation is of single runs, not of a load");
  }
  if (options.thread_pool != nullptr && options.thread_pool->NumThreads() < 1) {
    throw UsageError(UsageError::Kind::kValue, "the thread pool has no threads");
  }
  internal::CalibrateTicks();
  internal::Engine& engine = internal::GetEngine();
  internal::MarkThreadsStarted();
  auto state = std::make_shared<ModelState>();
  state->path = path;
  state->options = options;
  // The state alone keeps the pool: it knows how to let go of it.
  LoadOptions lent = options;
  lent.thread_pool = std::shared_ptr<ThreadPool>(std::shared_ptr<ThreadPool>(), options.thread_pool.get());
  state->engine = internal::WithErrors(path, [&] { return engine.Load(path, lent); });
  internal::CalibrateTicks();
  const auto& signatures = state->engine->signatures();
  if (signatures.count(internal::kDefaultSignature) > 0) {
    state->default_signature = internal::kDefaultSignature;
  } else if (signatures.size() == 1) {
    state->default_signature = signatures.begin()->first;
  }
  return Model(std::move(state));
}

const std::string& Model::path() const { return state_->path; }
const LoadOptions& Model::options() const { return state_->options; }
const std::map<std::string, Signature>& Model::signatures() const { return state_->engine->signatures(); }
const std::string& Model::default_signature() const { return state_->default_signature; }
const std::map<std::string, TensorSpec>& Model::variables() const { return state_->engine->variables(); }

Function Model::function(const std::string& signature, const std::vector<std::string>& outputs) const {
  Visit visit(*state_);
  const auto& signatures = state_->engine->signatures();
  const auto found = signatures.find(signature);
  if (found == signatures.end()) {
    throw UsageError(UsageError::Kind::kName, "no signature '" + signature + "' in '" + state_->path +
                                                  "'; its signatures: " + internal::ListKeys(signatures));
  }
  auto state = std::make_shared<FunctionState>();
  state->model = state_;
  state->label = "signature '" + signature + "'";
  const auto key = std::make_pair(signature, outputs);
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    const auto cached = state_->functions.find(key);
    if (cached != state_->functions.end()) state->bound = cached->second;
  }
  if (state->bound == nullptr) {
    state->bound = std::make_shared<internal::BoundFunction>(internal::WithErrors(state_->path, [&] {
      return state_->engine->Bind(found->second, internal::SelectOutputs(found->second, outputs));
    }));
    std::lock_guard<std::mutex> lock(state_->mutex);
    state->bound = state_->functions.emplace(key, state->bound).first->second;
  }
  return Function(std::move(state));
}

Function Model::function(const std::vector<std::string>& fetches, const std::vector<std::string>& feeds,
                         const std::vector<std::string>& targets) const {
  Visit visit(*state_);
  auto state = std::make_shared<FunctionState>();
  state->model = state_;
  state->label = "run by tensor name";
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
  state->bound = std::make_shared<internal::BoundFunction>(
      internal::WithErrors(state_->path, [&] { return state_->engine->Bind(fetches, feeds, targets); }));
  lock.lock();
  recent.emplace_front(std::move(key), state->bound);
  if (recent.size() > internal::kAdHocFunctions) evicted.splice(evicted.begin(), recent, --recent.end());
  return Function(std::move(state));
}

const std::map<std::string, SavedFunction>& Model::functions() const {
  Visit visit(*state_);
  return internal::WithErrors(
      state_->path, [&]() -> const auto& { return state_->engine->functions(); });
}

const SavedFunction& Model::find_function(const std::string& path) const {
  Visit visit(*state_);
  return internal::WithErrors(
      state_->path, [&]() -> const auto& { return state_->engine->FindFunction(path); });
}

Function Model::saved_function(const std::string& path, std::size_t trace) const {
  Visit visit(*state_);
  const SavedFunction& found = find_function(path);
  if (trace >= found.traces.size()) {
    throw UsageError(UsageError::Kind::kValue, "function '" + path + "' has " +
                                                   std::to_string(found.traces.size()) +
                                                   " traces, and no number " + std::to_string(trace));
  }
  auto state = std::make_shared<FunctionState>();
  state->model = state_;
  state->label = "function '" + path + "'";
  const std::string& key = found.traces[trace].name;
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    const auto cached = state_->saved_functions.find(key);
    if (cached != state_->saved_functions.end()) state->bound = cached->second;
  }
  if (state->bound == nullptr) {
    state->bound = std::make_shared<internal::BoundFunction>(
        internal::WithErrors(state_->path, [&] { return state_->engine->Bind(found, trace); }));
    std::lock_guard<std::mutex> lock(state_->mutex);
    state->bound = state_->saved_functions.emplace(key, state->bound).first->second;
  }
  return Function(std::move(state));
}

Tensor Model::ReadVariable(const std::string& name) const {
  Visit visit(*state_);
  return state_->engine->ReadVariable(name);
}

std::vector<std::string> Model::devices() const {
  Visit visit(*state_);
  return state_->engine->devices();
}

std::vector<OptimizationReport> Model::Optimization() const {
  std::vector<OptimizationReport> reports;
  for (const auto& [name, signature] : signatures()) {
    try {
      reports.push_back(function(name).state_->engine().optimization());
    } catch (const Error& error) {  // a signature that can't run
      reports.emplace_back();
      reports.back().function = "signature '" + name + "'";
      reports.back().why_not = error.what();
    }
  }
  return reports;
}

std::map<std::string, std::int64_t> Model::Placement() const {
  Visit visit(*state_);
  return state_->engine->Placement();
}

void Model::SaveOptimized(const std::string& target) const {
  Visit visit(*state_);
  state_->engine->SaveOptimized(target);
}

void Model::SaveVariables(const std::string& target, bool as_saved_model) const {
  Visit visit(*state_);
  state_->engine->SaveVariables(target, as_saved_model);
}

std::vector<RunCounters> Model::Counters() const {
  std::vector<RunCounters> counters;
  const std::lock_guard<std::mutex> lock(state_->mutex);
  for (const auto& [key, bound] : state_->functions) {
    counters.push_back(FunctionState{state_, bound, "signature '" + key.first + "'"}.Counters());
  }
  return counters;
}

void Model::Close() { state_->Close(); }
bool Model::closed() const { return state_->gate.closed(); }

bool Model::Cancel(double seconds) {
  if (state_->fork_generation != internal::ForkGeneration()) return true;
  state_->Cancel();
  return state_->gate.WaitFor(seconds);
}

bool CancelAllRuns(double seconds) {
  std::vector<std::shared_ptr<ModelState>> models;
  {
    std::lock_guard<std::mutex> lock(internal::GetRegistry().mutex);
    for (ModelState* model : internal::GetRegistry().models) {
      if (auto alive = model->weak_from_this().lock()) models.push_back(std::move(alive));
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  bool idle = true;
  for (const auto& model : models) {
    if (model->fork_generation == internal::ForkGeneration()) model->Cancel();
  }
  for (const auto& model : models) {
    if (model->fork_generation != internal::ForkGeneration()) continue;
    const std::chrono::duration<double> left = deadline - std::chrono::steady_clock::now();
    idle &= model->gate.WaitFor(std::max(left.count(), 0.0));
  }
  return idle;
}

}  // namespace savedmodel
