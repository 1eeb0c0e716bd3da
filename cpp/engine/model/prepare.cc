// SPDX-License-Identifier: Apache-2.0
#include "engine/model/prepare.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/files/files.h"
#include "engine/graph/attributes.h"
#include "engine/graph/canonical.h"
#include "engine/graph/functions.h"
#include "engine/graph/variable_use.h"
#include "engine/graph/variables.h"
#include "engine/optimize/epsilon.h"
#include "engine/optimize/factors.h"
#include "engine/optimize/optimize.h"
#include "engine/threads/float_mode.h"
#include "tensorflow/core/common_runtime/device_mgr.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// The value of a variable that keeps it between writes; false if it has none, or is updated in place.
bool ValueOf(const tf::NodeDef& handle, tf::Device* device, tf::Tensor* value) {
  bool in_place = false;
  std::optional<tf::Tensor> found =
      FindVariable(device, Attr(handle, "container").s(), Attr(handle, "shared_name").s(), &in_place);
  if (!found || in_place || !found->IsInitialized()) return false;
  *value = std::move(*found);
  return true;
}

// Values of the variables of TensorFlow 1 that nobody writes, by node; those that have one.
std::map<std::string, tf::Tensor> ReferenceValues(const tf::GraphDef& graph,
                                                  const std::set<std::string>& written,
                                                  tf::Session* session) {
  std::vector<std::string> names;
  for (const tf::NodeDef& node : graph.node()) {
    if (IsReferenceVariable(node) && written.count(VariableKey(node)) == 0) names.push_back(node.name());
  }
  std::map<std::string, tf::Tensor> values;
  std::vector<tf::Tensor> fetched;
  if (names.empty() || !session->Run({}, names, {}, &fetched).ok()) return values;
  for (std::size_t i = 0; i < names.size(); ++i) values.emplace(names[i], fetched[i]);
  return values;
}

std::unique_ptr<GraphExecutor> MakeFrom(const tf::GraphDef& graph, const std::vector<std::string>& feeds,
                                        const std::vector<std::string>& fetches,
                                        const tf::SessionOptions& options, const tf::DeviceMgr& devices,
                                        const ConstantPool* pool, StatefulKernels* stateful,
                                        OptimizationReport* report, bool bare = false) {
  std::string why_not;
  const auto make = [&](const tf::GraphDef& from, bool nest) {
    ExecutableGraph executable = MakeExecutable(from, feeds, fetches, options, devices, bare);
    report->effects = EffectsOf(executable);
    return MakeExecutor(std::move(executable), devices.ListDevices().front(), pool, stateful, &why_not, nest);
  };
  // Loops as lists of kernels where that can be, else in TensorFlow's executor.
  const bool nest = !report->passes.empty() && HasLoops(graph);
  std::unique_ptr<GraphExecutor> executor = make(graph, nest);
  if (executor == nullptr && nest) {
    tf::GraphDef lowered = graph;
    LowerLoops(&lowered);
    executor = make(lowered, false);
  }
  if (executor == nullptr) {
    report->why_not = "it has to run in a session, for " + why_not;
    return nullptr;
  }
  executor->set_repeatable(report->effects.empty());
  executor->set_replaced(FindReplaced(graph));
  report->executor = executor->name();
  return executor;
}

// Stays while prepared.mutex is held.
const tf::GraphDef& GraphOf(SharedSession& shared, const CallGraph* call) {
  return call == nullptr ? *shared.graph() : call->graph;
}

// Nor does it share a kernel that keeps something between runs, such as a random generator.
bool NeedsNoSession(const tf::GraphDef& graph) {
  return IsStandalone(graph) && !AnyNode(graph, [](const tf::NodeDef& node) {
           const tf::OpDef* op = FindOp(node.op());
           return op != nullptr && StatefulKernels::Owns(node, *op);
         });
}

std::string NameOf(const FunctionGraph& function) {
  return absl::StrJoin(function.feeds, ",") + " -> " + absl::StrJoin(function.fetches, ",");
}

// Runs of this function may write what others have as a constant.
void NoteWrites(const tf::GraphDef& graph, const FunctionGraph& function, SharedSession* shared) {
  shared->prepared.variables.AddWritten(WrittenVariables(graph, function.ends()));
}

// The executor that `make` makes, or the one that it made for a function that computes the same. Null if the
// graph needs a session.
template <typename Make>
const GraphExecutor* ShareOr(SharedSession* shared, const std::string& key, OptimizationReport* report,
                             Make make) {
  const std::string function = report->function;
  const bool stale = shared->prepared.variables.stale();
  if (const GraphExecutor* executor = stale || key.empty() ? nullptr : shared->Share(key, report)) {
    report->notes.push_back("it computes the same as " + report->function + ", and shares its executor");
    report->function = function;
    report->seconds = 0;
    for (PassReport& pass : report->passes) pass.seconds = 0;
    return executor;
  }
  std::unique_ptr<GraphExecutor> executor = make();
  if (executor == nullptr) return nullptr;
  report->optimized = true;
  return shared->Keep(std::move(executor), key, *report);
}

// In a saved graph, a large constant is known by its number in the pool only.
std::string KeyOfSaved(const IsolatedGraph& isolated, const std::vector<std::string>& fetches,
                       const ConstantPool* pool) {
  const std::string key = CanonicalKey(isolated.graph, isolated.feeds, fetches);
  return key.empty() ? "" : key + "@" + std::to_string(reinterpret_cast<std::uintptr_t>(pool));
}

const GraphExecutor* MakeSaved(SharedSession* shared, const CallGraph* call, const FunctionGraph& function,
                               OptimizationReport* report) {
  PreparedFunctions& prepared = shared->prepared;
  const auto has_it = [&](const auto& files) { return files->Find(function) != nullptr; };
  auto files = std::find_if(prepared.saved.begin(), prepared.saved.end(), has_it);
  if (files == prepared.saved.end()) {
    auto kept = prepared.cache == nullptr ? nullptr : prepared.cache->Read(function);
    if (kept == nullptr || !has_it(kept)) return nullptr;
    files = prepared.saved.insert(prepared.saved.end(), std::move(kept));
  }
  const OptimizedFunction* const found = (*files)->Find(function);
  const ConstantPool* const pool = &(*files)->pool();
  // Before it is used: what it writes must be a constant nowhere.
  if (!found->standalone) {
    shared->session();
    NoteWrites(GraphOf(*shared, call), function, shared);
  }
  for (const std::string& key : found->frozen) {
    if (shared->prepared.variables.MayFreeze(key)) continue;
    throw Error(Code::kFailedPrecondition, "another function writes the variable " + Quote(key));
  }
  const IsolatedGraph& isolated = found->isolated;
  const std::vector<std::string> fetches = OptimizedFiles::Fetches(*found, function);
  OptimizationReport saved = found->report;
  saved.function = report->function;
  saved.notes.push_back("was done earlier and read from " + shared->prepared.saved_from);
  const GraphExecutor* executor = ShareOr(shared, KeyOfSaved(isolated, fetches, pool), &saved, [&] {
    return MakeFrom(isolated.graph, isolated.feeds, fetches, shared->settings.optimized_options,
                    shared->DevicesFor(found->standalone), pool, &shared->prepared.stateful_kernels, &saved);
  });
  if (executor == nullptr) return nullptr;
  shared->prepared.variables.AddFrozen(found->frozen);
  *report = std::move(saved);
  return executor;
}

const std::string& KeyOf(SharedSession* shared, const FunctionGraph& function) {
  const auto [entry, fresh] = shared->prepared.keys.try_emplace(NameOf(function));
  if (fresh) {
    const IsolatedGraph isolated = IsolateFunction(*shared, nullptr, function);
    entry->second = CanonicalKey(isolated.graph, isolated.feeds, isolated.fetches);
  }
  return entry->second;
}

// The other signatures that have this key: they can be kept in one entry, and later share one executor.
std::vector<FunctionGraph> EqualSignatures(SharedSession* shared, const FunctionGraph& function,
                                           const std::string& key) {
  std::vector<FunctionGraph> equal;
  for (const FunctionGraph& other : shared->prepared.signatures) {
    if (key.empty() || !other.runs() || NameOf(other) == NameOf(function)) continue;
    if (KeyOf(shared, other) == key) equal.push_back(other);
  }
  return equal;
}

void AddToCache(SharedSession* shared, const std::string& key, const OptimizedFunction& function,
                const ConstantPool& pool, OptimizationReport* report) {
  const OptimizedCache* cache = shared->prepared.cache.get();
  if (cache == nullptr || shared->prepared.variables.stale()) return;
  try {
    shared->source().CheckUnchanged();
    cache->Write(function, EqualSignatures(shared, function.function, key), pool);
  } catch (const std::exception& error) {
    report->notes.push_back("is not kept in the cache: " + std::string(error.what()));
  }
}

const GraphExecutor* MakeOptimized(SharedSession* shared, const CallGraph* call,
                                   const FunctionGraph& function, OptimizationReport* report) {
  IsolatedGraph isolated = IsolateFunction(*shared, call, function);
  const std::string key = CanonicalKey(isolated.graph, isolated.feeds, isolated.fetches);
  if (call == nullptr) shared->prepared.keys[NameOf(function)] = key;
  return ShareOr(shared, key, report, [&] {
    std::unique_ptr<GraphExecutor> executor;
    {
      ConstantPool pool;
      std::set<std::string> frozen;
      OptimizeFunction(shared, shared->prepared.initialized, &pool, &isolated, &frozen, report);
      shared->prepared.variables.AddFrozen(frozen);
      shared->prepared.constants.Share(&pool);
      executor =
          MakeFrom(isolated.graph, isolated.feeds, isolated.fetches, shared->settings.optimized_options,
                   shared->DevicesFor(NeedsNoSession(isolated.graph)), &pool,
                   &shared->prepared.stateful_kernels, report);
      if (executor != nullptr)
        AddToCache(shared, key, {function, isolated, *report, false, frozen}, pool, report);
    }
    shared->prepared.constants.DropUnused();  // what the optimizer made on the way
    return executor;
  });
}

// Null where that fails, for a call must not fail for the optimizer, or where the graph needs a session;
// `needs_session` tells the latter.
template <typename Make>
const GraphExecutor* Try(Make make, SharedSession* shared, const CallGraph* call,
                         const FunctionGraph& function, bool* needs_session, OptimizationReport* report) {
  OptimizationReport done = *report;
  *needs_session = false;
  const GraphExecutor* executor = nullptr;
  try {
    executor = make(shared, call, function, &done);
    report->why_not = done.why_not;
    *needs_session = executor == nullptr && !done.why_not.empty();
  } catch (const std::exception& error) {
    report->why_not = error.what();
  }
  if (executor != nullptr) *report = std::move(done);
  report->optimized = executor != nullptr;
  return executor;
}

const GraphExecutor* MakePlain(SharedSession* shared, const CallGraph* call, const FunctionGraph& function,
                               bool bare, OptimizationReport* report) {
  std::unique_ptr<GraphExecutor> executor;
  tf::SessionOptions options = shared->settings.plain_options;
  if (bare) {
    options.config.mutable_graph_options()->mutable_rewrite_options()->set_disable_meta_optimizer(true);
  }
  const tf::GraphDef& graph = GraphOf(*shared, call);
  for (const std::string& note :
       {LeaveOutFolding(graph, &options.config), LeaveOutRemapping(graph, &options.config)}) {
    if (!note.empty()) report->notes.push_back(note);
  }
  try {
    executor = MakeFrom(graph, function.feeds, function.fetches, options, shared->devices(), nullptr,
                        &shared->prepared.stateful_kernels, report, bare);
  } catch (const std::exception&) {  // the session refuses the same, in its words
  }
  return executor == nullptr ? nullptr : shared->Keep(std::move(executor));
}

}  // namespace

IsolatedGraph IsolateFunction(SharedSession& shared, const CallGraph* call, const FunctionGraph& function) {
  return Isolate(GraphOf(shared, call), function.feeds, function.feed_types, function.fetches,
                 function.fetch_types);
}

void OptimizeFunction(SharedSession* shared, const std::set<std::string>& kept, ConstantPool* pool,
                      IsolatedGraph* isolated, std::set<std::string>* frozen, OptimizationReport* report) {
  const FloatMode mode;  // constants are folded as runs would compute them
  const std::shared_ptr<tf::Session> session = shared->Borrow();
  tf::Device* device = DevicesOf(*session).ListDevices().front();
  std::set<std::string> written = WrittenVariables(isolated->graph, isolated->fetches);
  written.insert(kept.begin(), kept.end());
  const std::map<std::string, tf::Tensor> references =
      ReferenceValues(isolated->graph, written, session.get());
  const auto value = [&](const tf::NodeDef& handle, tf::Tensor* tensor) {
    const std::string key = VariableKey(handle);
    if (key.empty() || written.count(key) > 0 || !shared->prepared.variables.MayFreeze(key)) return false;
    if (const auto found = references.find(handle.name()); found != references.end()) {
      *tensor = found->second;
    } else if (IsReferenceVariable(handle) || !ValueOf(handle, device, tensor)) {
      return false;
    }
    frozen->insert(key);
    return true;
  };
  tf::DeviceSet device_set;
  device_set.AddDevice(device);
  device_set.set_client_device(device);
  OptimizeGraph(shared->settings.plain_options, device_set, shared->settings.optimize,
                shared->source().options().float32_layers, value, pool, isolated, report);
}

const GraphExecutor* PrepareExecutor(SharedSession* shared, const CallGraph* call,
                                     const FunctionGraph& function, bool optimize,
                                     OptimizationReport* report) {
  report->executor = "session";
  if (!shared->settings.own_executors) {
    report->why_not = "the model has options, devices or ops that only a session respects";
    return nullptr;
  }
  const std::lock_guard<std::mutex> lock(shared->prepared.mutex);
  const FloatMode mode;
  bool needs_session = false;
  if (function.targets.empty()) {
    if (const auto* saved = Try(MakeSaved, shared, call, function, &needs_session, report)) return saved;
  }
  for (const std::string& why_not : {shared->prepared.saved_why_not, report->why_not}) {
    if (why_not.empty()) continue;
    report->notes.push_back(std::string(kOptimizedDirectory) + " is not used: " + why_not);
  }
  report->why_not.clear();
  const std::shared_ptr<tf::Session> session = shared->Borrow();  // for the graph
  NoteWrites(GraphOf(*shared, call), function, shared);
  if (!function.targets.empty()) {
    report->why_not = "ops that are run for their effects need a session";
    return nullptr;
  }
  if (shared->settings.optimize == Optimize::kNone) {
    report->why_not = "the model was loaded with optimize none";
  } else if (!optimize) {
    report->why_not = "functions by tensor name are optimized at their tenth run";
  } else if (const auto* optimized = Try(MakeOptimized, shared, call, function, &needs_session, report)) {
    return optimized;
  } else if (needs_session) {
    return nullptr;  // so would the graph as it was loaded
  }
  return MakePlain(shared, call, function, false, report);
}

const GraphExecutor* PreparePlain(SharedSession* shared, const CallGraph* call, const FunctionGraph& function,
                                  bool bare, OptimizationReport* report) {
  const std::lock_guard<std::mutex> lock(shared->prepared.mutex);
  const FloatMode mode;
  shared->session();
  report->executor = "session";
  return MakePlain(shared, call, function, bare, report);
}

Origins FindOrigins(SharedSession* shared, const CallGraph* call, const FunctionGraph& function,
                    const GraphExecutor& executor) {
  const std::lock_guard<std::mutex> lock(shared->prepared.mutex);
  try {
    const std::shared_ptr<tf::Session> session = shared->Borrow();
    IsolatedGraph isolated = IsolateFunction(*shared, call, function);
    tf::DeviceSet devices;
    devices.AddDevice(DevicesOf(*session).ListDevices().front());
    devices.set_client_device(devices.devices().front());
    ConstantPool pool;
    InlineCalls(devices, &pool, &isolated);
    return FindOrigins(isolated.graph, executor.Nodes(), executor.replaced());
  } catch (const std::exception&) {  // a trace without origins is still one
    return {};
  }
}

void FreeUnusedSession(SharedSession* shared, const std::vector<FunctionGraph>& functions) {
  if (!shared->may_free()) return shared->FreePacked();
  for (const FunctionGraph& function : functions) {
    if (!function.runs()) continue;
    const std::string& key = KeyOf(shared, function);
    if (key.empty() || !shared->Keeps(key)) return;
  }
  shared->Free();
  shared->FreePacked();
}

bool Convolves(const tf::GraphDef& graph) {
  return AnyNode(graph, [](const tf::NodeDef& node) { return absl::StrContains(node.op(), "Conv"); });
}

}  // namespace savedmodel::engine
